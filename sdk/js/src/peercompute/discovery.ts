/**
 * `Discovery` takes part in libp2p's pubsub peer discovery, in the wire form of
 * `@libp2p/pubsub-peer-discovery`: each node publishes its public key and its addresses on a topic.
 * These topics belong to no room, so programs that use other libraries of libp2p are found too.
 */

import { TopicValidatorResult } from '@libp2p/gossipsub'
import { PeerworkError } from '../errors.js'
import { DISCOVERY_TOPICS_MAX, PEERS_MAX, RAW_TOPIC_CHARS_MAX } from '../limits.js'
import { PeerworkNode } from '../node.js'
import { remember } from '../recent.js'
import { encodeAnnouncement, parseAnnouncement } from './announcement.js'
import { callHandler } from './handlers.js'
import { clock } from '../time.js'
import type { Message } from '@libp2p/gossipsub'
import type { Network } from '../net/libp2p.js'
import type { Room } from '../room/room.js'

/** The topic on which programs of PeerCompute announce themselves. */
export const DISCOVERY_TOPIC = 'peercompute._peer-discovery._p2p._pubsub'

/** A node that announced itself on a discovery topic. */
export interface DiscoveredPeer {
  /** The peer id, proved by the signature of the announcement. */
  peerId: string
  /** The addresses that the node announced, at most 16. */
  multiaddrs: string[]
  topic: string
  lastSeen: number
}

/** The interval of announcements, and how much longer it becomes with each known node. */
const INTERVAL_MS = 1000
const INTERVAL_MS_PER_PEER = 50
/** The time after which a silent node is forgotten. */
const SILENT_MS = 5 * 60_000

export class Discovery {
  readonly #topics: readonly string[]
  readonly #peers = new Map<string, DiscoveredPeer>()
  readonly #handlers = new Set<(peer: DiscoveredPeer) => void>()
  #network: Network | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  /** @throws PeerworkError `invalid-argument` for more than 8 topics, and for empty or long names. */
  constructor (topics: readonly string[]) {
    const valid = Array.isArray(topics) && topics.length <= DISCOVERY_TOPICS_MAX &&
      topics.every((topic) => typeof topic === 'string' && topic !== '' && topic.length <= RAW_TOPIC_CHARS_MAX)
    if (!valid) {
      throw new PeerworkError('invalid-argument',
        `discoveryTopics is a list of at most ${DISCOVERY_TOPICS_MAX} names of 1 to ${RAW_TOPIC_CHARS_MAX} characters`)
    }
    this.#topics = [...new Set(topics)]
  }

  get peers (): DiscoveredPeer[] {
    const since = clock() - SILENT_MS
    return [...this.#peers.values()].filter(({ lastSeen }) => lastSeen >= since)
      .map((peer) => ({ ...peer, multiaddrs: [...peer.multiaddrs] }))
  }

  /** Calls a handler for each node that is new or has other addresses. */
  onPeer (handler: (peer: DiscoveredPeer) => void): () => void {
    const own = (peer: DiscoveredPeer): void => { handler(peer) }
    this.#handlers.add(own)
    return () => { this.#handlers.delete(own) }
  }

  start (node: PeerworkNode): void {
    if (this.#topics.length === 0) return
    const { network } = PeerworkNode.roomOf(node) as Room
    this.#network = network
    for (const topic of this.#topics) {
      network.pubsub.topicValidators.set(topic, (_peer, message) => {
        return parseAnnouncement(message) === undefined ? TopicValidatorResult.Ignore : TopicValidatorResult.Accept
      })
      network.pubsub.subscribe(topic)
    }
    network.pubsub.addEventListener('message', this.#onMessage)
    this.#announce()
  }

  stop (): void {
    clearTimeout(this.#timer)
    const { pubsub } = this.#network ?? {}
    this.#network = undefined
    pubsub?.removeEventListener('message', this.#onMessage)
    for (const topic of this.#topics) {
      if (pubsub === undefined) continue
      pubsub.topicValidators.delete(topic)
      pubsub.unsubscribe(topic)
    }
    this.#peers.clear()
  }

  /** Publishes the announcement on each topic that another node is subscribed to. */
  #announce (): void {
    const network = this.#network
    if (network === undefined) return
    const announcement = encodeAnnouncement(network.libp2p.peerId, network.libp2p.getMultiaddrs())
    for (const topic of this.#topics) {
      if (announcement === undefined || network.pubsub.getSubscribers(topic).length === 0) continue
      network.pubsub.publish(topic, announcement).catch(() => {})
    }
    this.#timer = setTimeout(() => { this.#announce() }, Math.max(INTERVAL_MS, INTERVAL_MS_PER_PEER * this.#peers.size))
  }

  readonly #onMessage = (event: CustomEvent<Message>): void => {
    const { topic } = event.detail
    if (!this.#topics.includes(topic)) return
    const announced = parseAnnouncement(event.detail)
    if (announced === undefined || announced.peerId === this.#network?.libp2p.peerId.toString()) return
    const before = this.#peers.get(announced.peerId)
    const peer = { ...announced, topic, lastSeen: clock() }
    // The node that was silent longest makes room.
    remember(this.#peers, peer.peerId, peer, PEERS_MAX)
    if (before?.multiaddrs.join() === peer.multiaddrs.join()) return
    for (const handler of [...this.#handlers]) {
      callHandler('a discovery handler', handler, { ...peer, multiaddrs: [...peer.multiaddrs] })
    }
  }
}
