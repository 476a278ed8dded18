/** Gossip topics: who hears what, and publishing that waits until somebody hears. */

import { TopicValidatorResult } from '@libp2p/gossipsub'
import { callSafely } from '../events.js'
import type { Network } from '../net/libp2p.js'
import type { Message, SubscriptionChangeData } from '@libp2p/gossipsub'

/** A message of a peer; its signature was checked. */
export interface Heard {
  from: string
  data: Uint8Array
}

type Hearer = (heard: Heard) => void

/** Says whether a message may be delivered and forwarded. */
export type Check = (heard: Heard) => boolean

export class Topics {
  readonly #network: Network
  readonly #hearers = new Map<string, Set<Hearer>>()
  readonly #stopped = new AbortController()

  constructor (network: Network) {
    this.#network = network
    network.pubsub.addEventListener('message', this.#onMessage)
  }

  /** Hears nothing more; whoever waits for a subscriber waits no longer. */
  stop (): void {
    this.#stopped.abort()
    this.#network.pubsub.removeEventListener('message', this.#onMessage)
    this.#hearers.clear()
  }

  /** Hears a topic until the returned function is called. */
  hear (topic: string, check: Check, hearer: Hearer): () => void {
    const { pubsub } = this.#network
    const hearers = this.#hearers.get(topic) ?? new Set()
    if (hearers.size === 0) {
      this.#hearers.set(topic, hearers)
      pubsub.topicValidators.set(topic, (_peer, message) => {
        const valid = message.type === 'signed' && check({ from: message.from.toString(), data: message.data })
        return valid ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
      })
      pubsub.subscribe(topic)
    }
    const own: Hearer = (heard) => { hearer(heard) }
    hearers.add(own)
    return () => {
      if (!hearers.delete(own) || hearers.size > 0 || this.#hearers.get(topic) !== hearers) return
      this.#hearers.delete(topic)
      pubsub.topicValidators.delete(topic)
      pubsub.unsubscribe(topic)
    }
  }

  /**
   * Sends to everybody on a topic.
   *
   * @returns how many neighbours took it; 0 after `patienceMs` in which nobody was there to take it.
   */
  async publish (topic: string, data: Uint8Array, patienceMs: number): Promise<number> {
    const { pubsub } = this.#network
    const deadline = Date.now() + patienceMs
    for (;;) {
      const { recipients } = await pubsub.publish(topic, data)
      const left = deadline - Date.now()
      if (recipients.length > 0 || left <= 0 || this.#stopped.signal.aborted) return recipients.length
      await this.#subscribed(topic, left)
    }
  }

  /** Waits until somebody else subscribes to the topic, but not longer than `ms`. */
  async #subscribed (topic: string, ms: number): Promise<void> {
    const { pubsub } = this.#network
    // A subscriber is known a moment before the stream to it is there.
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
    const heard = { from: message.from.toString(), data: message.data }
    for (const hearer of [...this.#hearers.get(message.topic) ?? []]) callSafely(hearer, heard)
  }
}
