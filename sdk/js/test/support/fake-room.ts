/**
 * `FakeRoom` connects several fake nodes in one process, as far as a provider of Yjs uses them. It
 * loses messages at random (from a seed), and cuts and heals the connections of nodes.
 */

import { PeerworkError } from '../../src/index.js'
import type { NodeEvents, Peer, PeerStream, RelayStatus, TopicMessage } from '../../src/index.js'
import type { Data } from '../../src/index.js'
import type { ProviderNode } from '../../src/yjs/index.js'

/** A generator of pseudo-random numbers in [0, 1) (mulberry32). */
export function seeded (seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

type Handler = (message: TopicMessage) => void

export class FakeRoom {
  readonly nodes: FakeNode[] = []
  readonly random: () => number
  /** The share of published messages that each receiver loses. */
  loss = 0
  /** The bytes of the largest message that the relays forward. */
  bytesMax = Infinity
  /** The bytes that all streams carried, in both directions. */
  streamBytes = 0
  /** The number of messages published by each node on each topic, by `<peer> <topic>`. */
  readonly published = new Map<string, number>()

  constructor (seed = 1) {
    this.random = seeded(seed)
  }

  join (): FakeNode {
    const node = new FakeNode(this, `peer${this.nodes.length}`)
    this.nodes.push(node)
    for (const other of this.nodes) {
      if (other === node || !other.isConnected) continue
      other.tell('peer:join', node.peer)
    }
    return node
  }

  /** The other nodes that a node can reach. */
  reachable (node: FakeNode): FakeNode[] {
    return node.isConnected ? this.nodes.filter((other) => other !== node && other.isConnected) : []
  }
}

export class FakeNode implements ProviderNode {
  readonly #room: FakeRoom
  readonly peerId: string
  readonly #topics = new Map<string, Set<Handler>>()
  readonly #streams = new Map<string, (stream: PeerStream) => void>()
  readonly #listeners = new Map<string, Set<(detail: never) => void>>()
  readonly #leaveHandlers = new Set<() => void | Promise<void>>()
  isConnected = true

  constructor (room: FakeRoom, peerId: string) {
    this.#room = room
    this.peerId = peerId
  }

  get peer (): Peer {
    return { id: this.peerId, name: '', state: null, workers: 0, connection: 'relayed', firstSeen: 0, lastSeen: 0 } as unknown as Peer
  }

  get peers (): Peer[] {
    return this.#room.reachable(this).map(({ peer }) => peer)
  }

  get relays (): RelayStatus[] {
    return [{ id: 'relay', addresses: [], connected: this.isConnected, reserved: this.isConnected }]
  }

  /** Cuts the node off; both sides notice. */
  cut (): void {
    const others = this.#room.reachable(this)
    this.isConnected = false
    for (const other of others) {
      other.tell('peer:leave', this.peer)
      this.tell('peer:leave', other.peer)
    }
    this.tell('relay:disconnected', this.relays[0] as RelayStatus)
  }

  heal (): void {
    this.isConnected = true
    this.tell('relay:connected', this.relays[0] as RelayStatus)
    for (const other of this.#room.reachable(this)) {
      other.tell('peer:join', this.peer)
      this.tell('peer:join', other.peer)
    }
  }

  /** Tells the provider that the relay was connected again, which makes it compare. */
  refresh (): void {
    this.tell('relay:connected', this.relays[0] as RelayStatus)
  }

  async publish (topic: string, data: Data): Promise<number> {
    if (data instanceof Uint8Array && data.byteLength > this.#room.bytesMax) throw new PeerworkError('too-large', topic)
    const key = `${this.peerId} ${topic}`
    this.#room.published.set(key, (this.#room.published.get(key) ?? 0) + 1)
    await Promise.resolve()
    const others = this.#room.reachable(this)
    for (const other of others) {
      if (this.#room.random() >= this.#room.loss) other.hear({ from: this.peerId, topic, data: structuredClone(data) })
    }
    return others.length
  }

  hear (message: TopicMessage): void {
    for (const handler of [...this.#topics.get(message.topic) ?? []]) handler(message)
  }

  subscribe (topic: string, handler: Handler): () => void {
    const handlers = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, handlers)
    handlers.add(handler)
    return () => { handlers.delete(handler) }
  }

  async openStream (peerId: string, protocol: string): Promise<PeerStream> {
    const other = this.#room.reachable(this).find((node) => node.peerId === peerId)
    await Promise.resolve()
    if (other === undefined) throw new PeerworkError('peer-unreachable', peerId)
    const handler = other.#streams.get(protocol)
    if (handler === undefined) throw new PeerworkError('not-supported', protocol)
    const [there, back] = [new TransformStream<Uint8Array, Uint8Array>(), new TransformStream<Uint8Array, Uint8Array>()]
    const ends = new AbortController()
    const end = (peer: string, from: typeof there, to: typeof there): PeerStream => {
      const count = (chunk: Uint8Array, sink: TransformStreamDefaultController<Uint8Array>): void => {
        this.#room.streamBytes += chunk.byteLength
        sink.enqueue(chunk)
      }
      const readable = from.readable.pipeThrough(new TransformStream({ transform: count }), { signal: ends.signal })
      return { peer, protocol, readable, writable: to.writable, abort: (reason) => { ends.abort(reason) } }
    }
    handler(end(this.peerId, there, back))
    return end(peerId, back, there)
  }

  async handleStream (protocol: string, handler: (stream: PeerStream) => void): Promise<() => Promise<void>> {
    if (this.#streams.has(protocol)) throw new PeerworkError('invalid-argument', `the protocol "${protocol}" is handled already`)
    this.#streams.set(protocol, handler)
    return async () => { this.#streams.delete(protocol) }
  }

  on<Name extends keyof NodeEvents> (event: Name, listener: (detail: NodeEvents[Name]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    listeners.add(listener as never)
    return () => { listeners.delete(listener as never) }
  }

  tell<Name extends keyof NodeEvents> (event: Name, detail: NodeEvents[Name]): void {
    for (const listener of [...this.#listeners.get(event) ?? []]) (listener as (detail: NodeEvents[Name]) => void)(detail)
  }

  onLeave (handler: () => void | Promise<void>): () => void {
    this.#leaveHandlers.add(handler)
    return () => { this.#leaveHandlers.delete(handler) }
  }

  async leave (): Promise<void> {
    await Promise.all([...this.#leaveHandlers].map(async (handler) => { await handler() }))
    this.cut()
  }
}
