/** `PeerworkNode` is the interface of this package for applications. */

import { PeerworkError } from './errors.js'
import { Emitter } from './events.js'
import { checkName, checkOptions, checkState } from './options.js'
import { fetchFrom } from './fetch/fetch.js'
import { MESSAGE_BYTES_MAX, PUBLISH_BYTES_MAX } from './limits.js'
import { isPeerId } from './net/addresses.js'
import { sendMessage } from './room/messages.js'
import { decodePayload, encodePayload } from './room/payload.js'
import { Room } from './room/room.js'
import { peerStream } from './stream/peer-stream.js'
import { wait, withDeadline } from './time.js'
import type { Json } from './bytes.js'
import type { Compute } from './compute/compute.js'
import type { FetchInit } from './fetch/request.js'
import type { RelayStatus } from './net/relay-link.js'
import type { CheckedOptions, JoinOptions } from './options.js'
import type { MessageHandler } from './room/messages.js'
import type { Data } from './room/payload.js'
import type { Peer } from './room/peer.js'
import type { NodeEvents } from './room/room.js'
import type { SharedState, StateOptions } from './state/shared-state.js'
import type { PeerStream } from './stream/peer-stream.js'

/** A message that was published on a topic. */
export interface TopicMessage {
  /** The peer id of the author; the signature was verified. */
  from: string
  topic: string
  data: Data
}

/** Options of a call to one peer. */
export interface CallOptions {
  /** Aborts the call with the signal's own reason. */
  signal?: AbortSignal
  /** The time for the call, connecting included; default 30 s. */
  timeoutMs?: number
}

const CALL_TIMEOUT_MS = 30_000
/** The time that `leave()` waits for the handlers of `onLeave`. */
const LEAVE_PATIENCE_MS = 2_000
/** The time that a message waits for a subscriber. */
const PUBLISH_PATIENCE_MS = 5_000

/** A member of one room. Its methods throw `PeerworkError` with code `left` after `leave()`. */
export class PeerworkNode {
  readonly #room: Room
  readonly #options: CheckedOptions
  readonly #emitter: Emitter<NodeEvents>
  readonly #leaveHandlers = new Set<() => void | Promise<void>>()
  #leaving: Promise<void> | undefined
  /** The peer id of this node. */
  readonly peerId: string
  /** The name of the room. */
  readonly room: string

  private constructor (room: Room, options: CheckedOptions, emitter: Emitter<NodeEvents>) {
    this.#room = room
    this.#options = options
    this.#emitter = emitter
    this.peerId = options.identity.peerId
    this.room = options.room
  }

  /**
   * Joins a room and connects to its relays.
   *
   * @throws PeerworkError `invalid-argument` naming the option, `not-a-member` when the relays and
   * this node do not prove a secret of one network to each other, `relay-refused` when the relays
   * are for members only and the `token` is missing or wrong, `relay-unfit` when the relays forward
   * no gossip or offer no circuits, `relay-unreachable` when no relay could be reached in time (see
   * `timeoutMs`), and at once when all relays have another id than the one in `relays`.
   */
  static async join (options: JoinOptions): Promise<PeerworkNode> {
    const checked = await checkOptions(options)
    const emitter = new Emitter<NodeEvents>()
    return new PeerworkNode(await Room.start(checked, emitter), checked, emitter)
  }

  /** The other members that are present, at most 1000; without this node. */
  get peers (): Peer[] {
    return this.#room.peers
  }

  /** All relays, with the state of their links. */
  get relays (): RelayStatus[] {
    return this.#room.relays.statuses
  }

  /** Runs tasks on other peers, and tasks of other peers on this node. */
  get compute (): Compute {
    return this.#room.compute
  }

  /** The name and the state that other members see of this node. */
  get own (): { name: string, state: Json } {
    const { name, state } = this.#room.own
    return { name, state }
  }

  /** Calls `listener` at every `event` until the returned function is called. */
  on<Name extends keyof NodeEvents> (event: Name, listener: (detail: NodeEvents[Name]) => void): () => void {
    return this.#emitter.on(event, listener)
  }

  /**
   * Changes the name and the state that other members see.
   *
   * @throws PeerworkError `invalid-argument` beyond 64 characters of name or 4 KiB of JSON.
   */
  present (own: { name?: string, state?: Json }): void {
    this.#assertPresent()
    if (own.name !== undefined) this.#room.own.name = checkName(own.name)
    if (own.state !== undefined) this.#room.own.state = checkState(own.state)
    this.#room.presence.announce()
  }

  /**
   * Publishes a message of at most 128 KiB, or of the size that the `relay-config.json` of the relays
   * names if that is smaller, to all members that subscribe to a topic. Messages are
   * unordered and not acknowledged.
   *
   * @returns the number of neighbours that took the message (a relay counts as one); 0 when there
   * is no subscriber.
   * @throws PeerworkError `offline` when there is no relay and no peer, `too-large`,
   * `invalid-argument`.
   */
  async publish (topic: string, data: Data): Promise<number> {
    this.#assertPresent()
    const { topics, network } = this.#room
    const name = this.#options.names.topic(topic)
    const payload = encodePayload(data, PUBLISH_BYTES_MAX)
    const bytesMax = this.#room.relays.messageBytesMax
    if (payload.byteLength > bytesMax) {
      throw new PeerworkError('too-large', `the relays forward messages of at most ${bytesMax} bytes; this one has ${payload.byteLength}`)
    }
    // A relay joins the topics that this node subscribes to. For other topics there may be no
    // subscriber at all.
    const listens = network.pubsub.getTopics().includes(name)
    const taken = await topics.publish(name, payload, listens ? PUBLISH_PATIENCE_MS : 0)
    if (taken === 0 && network.pubsub.getPeers().length === 0) {
      throw new PeerworkError('offline', 'there is no relay and no peer to publish to')
    }
    return taken
  }

  /**
   * Subscribes to a topic until the returned function is called. The node's own messages are not
   * delivered to it.
   *
   * @throws PeerworkError `invalid-argument` for a name beyond 96 characters.
   */
  subscribe (topic: string, handler: (message: TopicMessage) => void): () => void {
    this.#assertPresent()
    return this.#room.topics.subscribe(
      this.#options.names.topic(topic),
      ({ data }) => data.byteLength <= PUBLISH_BYTES_MAX + 1 && decodePayload(data) !== undefined,
      ({ from, data }) => {
        const payload = decodePayload(data)
        if (payload !== undefined) handler({ from, topic, data: payload.data })
      }
    )
  }

  /**
   * Sends a message of at most 2 MiB to one peer over the best connection, and waits until the peer
   * has passed it to its handlers.
   *
   * @throws PeerworkError `peer-unreachable`, `not-supported` (the peer has no message handler),
   * `cut-off` (the message may have arrived), `timeout`, `too-large`, `invalid-argument`; the
   * signal's reason.
   */
  async send (peerId: string, data: Data, options: CallOptions = {}): Promise<void> {
    const payload = encodePayload(data, MESSAGE_BYTES_MAX)
    await this.#call(peerId, options, async (signal) => {
      const stream = await this.#room.streams.open(peerId, this.#options.names.messageProtocol, signal)
      await sendMessage(stream, payload, signal)
    })
  }

  /**
   * Calls a handler for each message that a peer sends to this node, until the returned function is
   * called.
   */
  onMessage (handler: MessageHandler): () => void {
    this.#assertPresent()
    return this.#room.messages.onMessage(handler)
  }

  /**
   * Opens a stream to a peer that handles `protocol`.
   *
   * @throws PeerworkError `peer-unreachable`, `not-supported`, `timeout`; the signal's reason.
   */
  async openStream (peerId: string, protocol: string, options: CallOptions = {}): Promise<PeerStream> {
    const name = this.#options.names.appProtocol(protocol)
    return await this.#call(peerId, options, async (signal) => {
      return peerStream(await this.#room.streams.open(peerId, name, signal), peerId, protocol)
    })
  }

  /**
   * Accepts streams that peers open with `openStream`, at most 256 at once on one connection, until
   * the returned function is called.
   *
   * @throws PeerworkError `invalid-argument` when the protocol has a handler already.
   */
  async handleStream (protocol: string, handler: (stream: PeerStream) => void): Promise<() => Promise<void>> {
    this.#assertPresent()
    const name = this.#options.names.appProtocol(protocol)
    try {
      return await this.#room.streams.take(name, (stream, from) => { handler(peerStream(stream, from, protocol)) })
    } catch (cause) {
      throw new PeerworkError('invalid-argument', `the protocol "${protocol}" is handled already`, { cause })
    }
  }

  /**
   * Opens a shared state, a small map that is replicated to all members; see {@link SharedState}. A
   * further call with the same name returns the same state, and only the options of the first call
   * count.
   */
  state<T extends Json = Json> (name: string, options: StateOptions<T> = {}): SharedState<T> {
    this.#assertPresent()
    return this.#room.states.open(name, options)
  }

  /**
   * Sends an HTTP request to a web app behind an edge of the network: `peerwork://<node
   * id>/<port>/<path>`. The relay carries encrypted bytes and cannot read or change them. Cookies
   * are neither stored nor sent, and browsers hide `set-cookie` of the response. A relay may limit
   * a circuit (50 MiB and 10 minutes by default); a body that exceeds the limit fails with
   * `cut-off`.
   *
   * @throws PeerworkError whose `side` is the side that failed: `relay-unreachable`,
   * `edge-unknown`, `edge-unreachable`, `edge-busy`, `edge-refused`, `port-not-allowed`,
   * `key-missing`, `key-invalid`, `not-supported` (the node is no edge), `app-unreachable`,
   * `app-timeout`, `bad-answer`, `cut-off`, `timeout`, `invalid-argument`; the signal's reason.
   */
  async fetch (url: string | URL, init?: FetchInit): Promise<Response> {
    this.#assertPresent()
    return await fetchFrom(this.#room.edges, this.peerId, url, init)
  }

  /**
   * Dials the relays that are not connected at once, without waiting for the end of the pause
   * between two attempts. Nodes dial lost relays by themselves, so a program rarely needs this.
   */
  redial (): void {
    this.#assertPresent()
    this.#room.relays.retryNow()
  }

  /**
   * For internal use by the other entry points of this package: the `Room` of a node. Its type stays
   * out of the package's types, which would otherwise contain those of libp2p.
   *
   * @internal
   */
  static roomOf (node: PeerworkNode): unknown {
    return node.#room
  }

  /**
   * Calls a handler when the node is about to leave and can still publish, until the returned
   * function is called. `leave()` waits for the handler, but at most 2 s.
   */
  onLeave (handler: () => void | Promise<void>): () => void {
    this.#assertPresent()
    const own = (): void | Promise<void> => handler()
    this.#leaveHandlers.add(own)
    return () => { this.#leaveHandlers.delete(own) }
  }

  /**
   * Announces that this node leaves, ends all connections and removes all handlers. A further call
   * waits for the end of the first.
   */
  async leave (): Promise<void> {
    this.#leaving ??= this.#leave()
    await this.#leaving
  }

  async #leave (): Promise<void> {
    const handlers = [...this.#leaveHandlers]
    this.#leaveHandlers.clear()
    if (handlers.length > 0) {
      const late = new AbortController()
      const handled = Promise.allSettled(handlers.map(async (handler) => { await handler() }))
      await Promise.race([handled, wait(LEAVE_PATIENCE_MS, late.signal).catch(() => {})])
      late.abort()
    }
    await this.#room.leave()
    this.#emitter.clear()
  }

  async #call<T> (peerId: string, options: CallOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#assertPresent()
    if (!isPeerId(peerId)) throw new PeerworkError('invalid-argument', `"${peerId}" is no peer id`)
    if (peerId === this.peerId) throw new PeerworkError('invalid-argument', 'a node does not call itself')
    const ms = options.timeoutMs ?? CALL_TIMEOUT_MS
    const late = (): PeerworkError => new PeerworkError('timeout', `${peerId} did not answer in ${ms} ms`)
    return await withDeadline({ ms, signal: options.signal, late }, work)
  }

  #assertPresent (): void {
    if (this.#room.left) throw new PeerworkError('left', 'the node has left the room')
  }
}
