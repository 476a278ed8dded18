/** `Topics` subscribes to gossip topics, and publishes messages after waiting for a subscriber. */

import { TopicValidatorResult } from '@libp2p/gossipsub'
import { longController } from '../abort.js'
import { callSafely } from '../events.js'
import { clock } from '../time.js'
import type { Network } from '../net/libp2p.js'
import type { Message, SubscriptionChangeData } from '@libp2p/gossipsub'

/** A message of a peer, whose signature was verified. */
export interface SignedMessage {
  from: string
  data: Uint8Array
}

type TopicHandler = (message: SignedMessage) => void

/** Decides whether a message may be delivered and forwarded. */
export type Check = (message: SignedMessage) => boolean

export class Topics {
  readonly #network: Network
  readonly #handlers = new Map<string, Set<TopicHandler>>()
  readonly #stopped = longController()

  constructor (network: Network) {
    this.#network = network
    network.pubsub.addEventListener('message', this.#onMessage)
  }

  /** Ends all subscriptions, and ends all waits for a subscriber. */
  stop (): void {
    this.#stopped.abort()
    this.#network.pubsub.removeEventListener('message', this.#onMessage)
    this.#handlers.clear()
  }

  /** Subscribes to a topic until the returned function is called. */
  subscribe (topic: string, check: Check, handler: TopicHandler): () => void {
    const { pubsub } = this.#network
    const handlers = this.#handlers.get(topic) ?? new Set()
    if (handlers.size === 0) {
      this.#handlers.set(topic, handlers)
      pubsub.topicValidators.set(topic, (_peer, message) => {
        const valid = message.type === 'signed' && check({ from: message.from.toString(), data: message.data })
        return valid ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
      })
      pubsub.subscribe(topic)
    }
    const own: TopicHandler = (message) => { handler(message) }
    handlers.add(own)
    return () => {
      if (!handlers.delete(own) || handlers.size > 0 || this.#handlers.get(topic) !== handlers) return
      this.#handlers.delete(topic)
      pubsub.topicValidators.delete(topic)
      pubsub.unsubscribe(topic)
    }
  }

  /**
   * Publishes a message on a topic.
   *
   * @returns the number of neighbours that took it; 0 when no subscriber came within `patienceMs`.
   */
  async publish (topic: string, data: Uint8Array, patienceMs: number): Promise<number> {
    const { pubsub } = this.#network
    const deadline = clock() + patienceMs
    for (;;) {
      const { recipients } = await pubsub.publish(topic, data)
      const left = deadline - clock()
      if (recipients.length > 0 || left <= 0 || this.#stopped.signal.aborted) return recipients.length
      await this.#subscribed(topic, left)
    }
  }

  /** Waits until another peer subscribes to the topic, but not longer than `ms`. */
  async #subscribed (topic: string, ms: number): Promise<void> {
    const { pubsub } = this.#network
    // A subscription becomes known shortly before the gossip stream to the subscriber is open.
    const pause = pubsub.getSubscribers(topic).length > 0 ? Math.min(ms, 50) : ms
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        pubsub.removeEventListener('subscription-change', onChange)
        this.#stopped.signal.removeEventListener('abort', done)
        resolve()
      }
      const onChange = (event: CustomEvent<SubscriptionChangeData>): void => {
        if (event.detail.subscriptions.some((one) => one.topic === topic && one.subscribe)) done()
      }
      const timer = setTimeout(done, pause)
      pubsub.addEventListener('subscription-change', onChange)
      this.#stopped.signal.addEventListener('abort', done)
    })
  }

  readonly #onMessage = (event: CustomEvent<Message>): void => {
    const message = event.detail
    if (message.type !== 'signed') return
    const signed = { from: message.from.toString(), data: message.data }
    for (const handler of [...this.#handlers.get(message.topic) ?? []]) callSafely(handler, signed)
  }
}
