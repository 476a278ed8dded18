/** `PeerworkProvider` connects a Yjs document to the peers of a room. */

import { Awareness } from 'y-protocols/awareness'
import { PeerworkError } from '../errors.js'
import { EMPTY } from '../bytes.js'
import { PEERS_MAX, YJS_NAME_CHARS_MAX } from '../limits.js'
import { AwarenessLink } from './awareness-link.js'
import { Comparer } from './comparer.js'
import { Docs, PROTOCOL, turnOf } from './docs.js'
import { requestDoc } from './exchange.js'
import { Guard } from './guard.js'
import { Observable } from './observable.js'
import { Outbox } from './outbox.js'
import { Replica } from './replica.js'
import type { Doc } from 'yjs'
import type { Comparison } from './exchange.js'
import type { ProviderNode } from './provider-node.js'
import type { TopicMessage } from '../node.js'
import type { PeerStream } from '../stream/peer-stream.js'
import type { Turn } from '../turns.js'

/** The options of a {@link PeerworkProvider}. */
export interface ProviderOptions {
  /**
   * The name of the document in the room, `doc` if it is left out: 1 to 80 characters after
   * percent-encoding. A room can have many documents.
   */
  name?: string
  /** The awareness of the document; a new one if it is left out, which `destroy()` ends. */
  awareness?: Awareness
  /** Whether to connect at once; default true. With `false`, call `connect()`. */
  connect?: boolean
}

/** The events of a {@link PeerworkProvider}. */
export interface ProviderEvents {
  /** The provider can reach a relay or a peer, or cannot any more. */
  status: { status: 'connected' | 'disconnected', connected: boolean }
  /** The document was compared with a peer (or no peer has it), or the connection was lost. */
  sync: boolean
  /** The same as `sync`, in the form of y-webrtc. */
  synced: { synced: boolean }
  /** The peers that have the document open changed. */
  peers: { added: string[], removed: string[], peers: string[] }
  /** The document or the awareness state is too large, or another module handles the protocol. */
  'connection-error': PeerworkError
  /** The provider was destroyed. */
  destroy: PeerworkProvider
}

const VERSION = 1
/** A message with an update. */
const UPDATE = 0
/** A message that its author has updates that do not fit into a message. */
const ANNOUNCE = 1
const HEAD_BYTES = 2
/** Messages that one peer may publish; a provider publishes at most 33 updates a second. */
const MESSAGES = { burst: 400, perSecond: 60 }

/**
 * A provider of Yjs over a room: all peers of the room that open a document of the same name edit it
 * together, and see each other's awareness.
 *
 * Updates are published in the room, signed by their author. At the start, when peers come back, and
 * at an interval, two peers compare their documents over a direct stream, so that no update is lost
 * for good. Transactions that come from peers have the provider as their origin.
 */
export class PeerworkProvider extends Observable<ProviderEvents> {
  readonly doc: Doc
  readonly awareness: Awareness
  /** The name of the document in the room. */
  readonly name: string
  /**
   * Resolves when `synced` becomes true for the first time, or when the provider is destroyed; never
   * rejects.
   */
  readonly whenSynced: Promise<PeerworkProvider>
  readonly #node: ProviderNode
  readonly #docs: Docs
  readonly #topic: string
  readonly #replica: Replica
  readonly #outbox: Outbox
  readonly #link: AwarenessLink
  readonly #ownsAwareness: boolean
  readonly #guard = new Guard(MESSAGES)
  readonly #holders = new Set<string>()
  /** The streams of comparisons that this provider asked for. */
  readonly #streams = new Set<PeerStream>()
  readonly #offs: Array<() => void> = []
  #comparer: Comparer | undefined
  #unsubscribe: (() => void) | undefined
  #resolve: (provider: PeerworkProvider) => void = () => {}
  #isSynced = false
  #isOnline = false
  #isDestroyed = false

  /**
   * @throws PeerworkError `invalid-argument` for a name out of bounds, and when this node has a
   * provider for that name already; `left` when the node has left.
   */
  constructor (node: ProviderNode, doc: Doc, { name = 'doc', awareness, connect = true }: ProviderOptions = {}) {
    super()
    this.name = checkedName(name)
    this.doc = doc
    this.#node = node
    this.#topic = `yjs.doc.${name}`
    this.#replica = new Replica(doc, this)
    this.#docs = Docs.of(node)
    const offLeave = node.onLeave(async () => { await this.destroy() })
    try {
      this.#docs.open(name, () => this.#comparer === undefined ? undefined : this.#replica)
    } catch (error) {
      offLeave()
      throw error
    }
    this.#offs.push(offLeave)
    this.awareness = awareness ?? new Awareness(doc)
    this.#ownsAwareness = awareness === undefined
    this.whenSynced = new Promise((resolve) => { this.#resolve = resolve })
    this.#outbox = new Outbox({
      publish: async (update) => await this.#publish(UPDATE, update),
      announce: async () => await this.#publish(ANNOUNCE)
    })
    this.#link = new AwarenessLink(node, `yjs.awareness.${name}`, this.awareness, this, {
      takes: (peer) => !this.#guard.isMuted(peer) && this.#guard.allows(peer),
      onHeard: (peer, isOpen) => { this.#onHolder(peer, isOpen) },
      onFailure: (error) => { this.emit('connection-error', error) }
    })
    this.#watch()
    if (connect) this.connect()
  }

  /** Whether the document was compared with a peer since the connection began, or no peer has it. */
  get synced (): boolean {
    return this.#isSynced
  }

  /** Whether the provider is connected to a relay or a peer. */
  get connected (): boolean {
    return this.#isOnline
  }

  /** The ids of the present peers that have the document open. */
  get peers (): string[] {
    const present = new Set(this.#node.peers.map(({ id }) => id))
    return [...this.#holders].filter((peer) => present.has(peer))
  }

  /** Connects to the room again after `disconnect()`. */
  connect (): void {
    if (this.#isDestroyed || this.#comparer !== undefined) return
    this.#comparer = new Comparer({
      present: () => this.#node.peers.map(({ id }) => id).filter((id) => !this.#guard.isMuted(id)),
      holders: () => this.peers.filter((id) => !this.#guard.isMuted(id)),
      compare: async (peer) => await this.#compare(peer),
      onBegun: ({ isSynced, vector }) => {
        this.#outbox.open(vector)
        if (isSynced) this.#become(true)
      },
      onInterval: () => { this.#replica.dropStale() }
    })
    this.#unsubscribe = this.#node.subscribe(this.#topic, (message) => { this.#onMessage(message) })
    this.#link.start()
    this.#onConnection()
  }

  /** Disconnects from the room; edits are kept until `connect()`. */
  disconnect (): void {
    if (this.#comparer === undefined) return
    this.#comparer.stop()
    this.#comparer = undefined
    for (const stream of this.#streams) stream.abort(ended())
    this.#unsubscribe?.()
    this.#link.stop()
    this.#outbox.hold()
    this.#holders.clear()
    this.#onConnection()
  }

  /**
   * Publishes the last edits, disconnects and lets another provider open the document. The document
   * stays; an awareness that the provider made ends.
   *
   * @returns a promise that resolves when the last edits are on their way.
   */
  async destroy (): Promise<void> {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    const isConnected = this.#comparer !== undefined
    for (const off of this.#offs.splice(0)) off()
    this.disconnect()
    this.#docs.close(this.name)
    if (this.#ownsAwareness) this.awareness.destroy()
    this.#resolve(this)
    if (isConnected) await this.#outbox.flush()
    this.emit('destroy', this)
    this.clear()
  }

  /** Follows the document, the node and the page until the provider is destroyed. */
  #watch (): void {
    const onUpdate = (update: Uint8Array, origin: unknown): void => {
      if (origin !== this) this.#outbox.add(update)
    }
    const onDestroy = (): void => { void this.destroy() }
    const onHide = (): void => { if (this.#comparer !== undefined) void this.#outbox.flush() }
    this.doc.on('update', onUpdate)
    this.doc.on('destroy', onDestroy)
    globalThis.addEventListener?.('pagehide', onHide)
    this.#offs.push(
      () => { this.doc.off('update', onUpdate) },
      () => { this.doc.off('destroy', onDestroy) },
      () => { globalThis.removeEventListener?.('pagehide', onHide) },
      this.#node.on('relay:connected', () => { this.#onReturn() }),
      this.#node.on('relay:disconnected', () => { this.#onConnection() }),
      this.#node.on('peer:update', () => { this.#onConnection() }),
      this.#node.on('peer:join', ({ id }) => { this.#onJoin(id) }),
      this.#node.on('peer:leave', ({ id }) => { this.#onLeave(id) })
    )
    this.#docs.ready.catch((error: unknown) => {
      this.emit('connection-error', error instanceof PeerworkError ? error : new PeerworkError('invalid-argument', String(error)))
    })
  }

  #onConnection (): void {
    const isOnline = this.#comparer !== undefined && (this.#node.relays.some(({ connected }) => connected) ||
      this.#node.peers.some(({ connection }) => connection !== 'none'))
    if (isOnline === this.#isOnline) return
    this.#isOnline = isOnline
    this.emit('status', { status: isOnline ? 'connected' : 'disconnected', connected: isOnline })
    if (isOnline) {
      void this.#comparer?.begin()
    } else {
      this.#outbox.hold()
      this.#comparer?.pause()
      this.#become(false)
    }
  }

  #onReturn (): void {
    this.#onConnection()
    if (this.#comparer === undefined) return
    this.#link.announce({ ask: true })
    this.#comparer.wantReturned()
    this.#outbox.retry()
  }

  #onJoin (peer: string): void {
    this.#onConnection()
    if (this.#comparer === undefined) return
    this.#link.announce({ ask: false })
    this.#comparer.wantNew(peer)
    this.#outbox.retry()
  }

  #onLeave (peer: string): void {
    this.#onHolder(peer, false)
    this.#link.remove(peer)
    this.#onConnection()
  }

  /** Notes whether a peer has the document open. */
  #onHolder (peer: string, isOpen: boolean): void {
    if (isOpen === this.#holders.has(peer)) return
    if (isOpen) {
      if (this.#holders.size >= PEERS_MAX) this.#forgetHolder()
      this.#holders.add(peer)
      this.#comparer?.wantNew(peer)
    } else {
      this.#holders.delete(peer)
    }
    this.emit('peers', { added: isOpen ? [peer] : [], removed: isOpen ? [] : [peer], peers: this.peers })
  }

  /** Makes room for a further peer: messages also come from nodes that are no members of the room. */
  #forgetHolder (): void {
    const present = new Set(this.#node.peers.map(({ id }) => id))
    const [first] = this.#holders
    const absent = [...this.#holders].find((peer) => !present.has(peer)) ?? first
    if (absent !== undefined) this.#onHolder(absent, false)
  }

  #become (isSynced: boolean): void {
    if (isSynced === this.#isSynced) return
    this.#isSynced = isSynced
    this.emit('synced', { synced: isSynced })
    this.emit('sync', isSynced)
    if (isSynced) this.#resolve(this)
  }

  async #publish (kind: number, update: Uint8Array = EMPTY): Promise<boolean> {
    const message = new Uint8Array(HEAD_BYTES + update.byteLength)
    message.set([VERSION, kind])
    message.set(update, HEAD_BYTES)
    try {
      return await this.#node.publish(this.#topic, message) > 0
    } catch (error) {
      // The relays may forward smaller messages alone; the others then fetch the update.
      const isLarge = kind === UPDATE && error instanceof PeerworkError && error.code === 'too-large'
      return isLarge && await this.#publish(ANNOUNCE)
    }
  }

  #onMessage ({ from, data }: TopicMessage): void {
    if (this.#guard.isMuted(from)) return
    if (!this.#guard.allows(from)) return this.#comparer?.want(from)
    if (!(data instanceof Uint8Array) || data[0] !== VERSION) return
    this.#onHolder(from, true)
    if (data[1] === ANNOUNCE) this.#comparer?.want(from)
    if (data[1] !== UPDATE) return
    try {
      this.#replica.take(data.subarray(HEAD_BYTES))
    } catch {
      this.#guard.mute(from)
    }
    if (this.#replica.waits) this.#comparer?.want(from)
  }

  /** Compares over a stream, which ends when the provider is disconnected. */
  async #request (peer: string, turn: Turn): Promise<Comparison> {
    const comparer = this.#comparer
    const stream = await this.#node.openStream(peer, PROTOCOL)
    if (comparer === undefined || comparer !== this.#comparer) {
      stream.abort(ended())
      throw ended()
    }
    this.#streams.add(stream)
    try {
      return await requestDoc(stream, this.name, this.#replica, turn)
    } finally {
      this.#streams.delete(stream)
    }
  }

  async #compare (peer: string): Promise<Comparison> {
    try {
      const result = await this.#docs.turns.run(turnOf(peer, this.name), async (turn) => await this.#request(peer, turn))
      this.#onHolder(peer, result.known)
      return result
    } catch (error) {
      if (!(error instanceof PeerworkError)) throw error
      if (error.code === 'not-supported') return { known: false }
      if (error.code === 'bad-answer') this.#guard.mute(peer)
      if (error.code === 'too-large') this.emit('connection-error', error)
      throw error
    }
  }
}

function ended (): PeerworkError {
  return new PeerworkError('left', 'the provider was disconnected')
}

function checkedName (name: string): string {
  const escaped = typeof name === 'string' && name.isWellFormed() ? encodeURIComponent(name) : ''
  if (escaped.length > 0 && escaped.length <= YJS_NAME_CHARS_MAX) return name
  throw new PeerworkError('invalid-argument',
    `the name of a document has 1 to ${YJS_NAME_CHARS_MAX} characters after percent-encoding`)
}
