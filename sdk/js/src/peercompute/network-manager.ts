/**
 * `NetworkManager` sends and receives the messages of a kernel: to all peers, to one peer, and by
 * the scheduler. It lives as long as its kernel, and works on the node of the moment.
 */

import { PeerworkError } from '../errors.js'
import {
  KERNEL_MESSAGES_BURST, KERNEL_MESSAGES_PER_SECOND, KERNEL_TOPICS_MAX, PUBLISH_BYTES_MAX
} from '../limits.js'
import { Rates } from '../rates.js'
import { ConnectionView } from './connection-view.js'
import { Discovery } from './discovery.js'
import { callHandler } from './handlers.js'
import { parseMessage } from './messages.js'
import { Scheduler } from './scheduler.js'
import { clock } from '../time.js'
import type { Json } from '../bytes.js'
import type { Peer } from '../room/peer.js'
import type { PeerworkNode } from '../node.js'
import type { DiscoveredPeer } from './discovery.js'
import type { CommandMessage, EventMessage, ProgramMessage, ScheduledMessage, SnapshotMessage } from './messages.js'
import type { SchedulerProfile } from './profile.js'
import type { ReliabilityStats } from './reliable.js'
import type { EventOptions, Provider, ScheduledHandler } from './scheduler.js'

/** A present member of the room. */
export interface ConnectedPeer {
  peerId: string
  gameId: string
  roomId: string
  lastSeen: number
  /** `connection` for a peer with a connection, `presence` for a peer known by gossip alone. */
  via: 'connection' | 'presence'
  connection: Peer['connection']
  name: string
}

export interface NetworkStats {
  /** The peer id of this node; `null` while it is not started. */
  peerId: string | null
  /** The number of present members, without this node and without relays. */
  peerCount: number
  /** Whether a relay or a member is connected. */
  isConnected: boolean
  topology: string
  /** The number of connected relays and members. */
  connections: number
}

export interface NetworkHealth {
  /** The time of the last received message; 0 if there was none. */
  lastRxAt: number
  /** The time of the last sent message; 0 if there was none. */
  lastTxAt: number
  peerCount: number
  /** The ids of the connected relays and members. */
  pubsubPeers: string[]
  reliability: ReliabilityStats
  /** Messages of other peers that were dropped, because they came too fast or were malformed. */
  dropped: number
}

export type MessageHandler = (peerId: string, message: Json) => void

/** The settings of a network manager, and the functions of its kernel. */
export interface NetworkSettings {
  topology: string
  gameId: string
  roomId: string
  topic: string
  discoveryTopics: readonly string[]
  connect: () => Promise<void>
  disconnect: () => Promise<void>
}

/** The shortest time between two redials. */
const REDIAL_GAP_MS = 1000
/** The time for sending what is queued before the node leaves. */
const FAREWELL_MS = 1500
/** The shortest time between two warnings about messages that could not be sent. */
const WARNING_GAP_MS = 5000

export class NetworkManager {
  readonly #settings: NetworkSettings
  readonly #scheduler: Scheduler
  readonly #view = new ConnectionView()
  readonly #discovery: Discovery
  readonly #rates = new Rates({ burst: KERNEL_MESSAGES_BURST, perSecond: KERNEL_MESSAGES_PER_SECOND })
  readonly #handlers: MessageHandler[] = []
  /** The subscriptions by topic, on the node of the moment. */
  readonly #topics = new Map<string, (() => void) | undefined>()
  #offs: Array<() => void> = []
  #node: PeerworkNode | undefined
  #malformed = 0
  #scheduling = false
  #clock: 'internal' | 'external' = 'internal'
  #timer: ReturnType<typeof setTimeout> | undefined
  #lastRxAt = 0
  #lastTxAt = 0
  #redialedAt = Number.NEGATIVE_INFINITY
  #warnedAt = Number.NEGATIVE_INFINITY

  /**
   * For internal use: programs call `kernel.getNetworkManager()`.
   *
   * @internal
   */
  constructor (settings: NetworkSettings) {
    this.#settings = settings
    this.#topics.set(settings.topic, undefined)
    this.#discovery = new Discovery(settings.discoveryTopics)
    this.#scheduler = new Scheduler({
      gameId: settings.gameId,
      roomId: settings.roomId,
      peerId: () => this.peerId,
      peers: () => this.#node?.peers.map(({ id }) => id) ?? [],
      publish: async (message) => { await this.#publishScheduled(message) },
      send: async (peer, message) => { await this.#sendScheduled(peer, message) }
    })
  }

  /** The peer id of this node; `null` while it is not started. */
  get peerId (): string | null {
    return this.#node?.peerId ?? null
  }

  get isConnected (): boolean {
    return this.#view.getConnections().length > 0
  }

  /** Starts the kernel of this manager. */
  async connect (): Promise<void> {
    await this.#settings.connect()
  }

  /** Stops the kernel of this manager. */
  async disconnect (): Promise<void> {
    await this.#settings.disconnect()
  }

  /** Calls a handler for each message that peers broadcast or send to this node. */
  addMessageHandler (handler: MessageHandler): () => void {
    this.#handlers.push(handler)
    return () => {
      const at = this.#handlers.indexOf(handler)
      if (at >= 0) this.#handlers.splice(at, 1)
    }
  }

  /**
   * Sends a message of at most 2 MiB to one peer and to nobody else, and waits until the peer has
   * it.
   *
   * @throws PeerworkError as `PeerworkNode.send` does, and `left` while the kernel is not started.
   */
  async sendToPeer (peerId: string, message: Json): Promise<void> {
    await this.#started().send(peerId, { type: 'peercompute-message', payload: message })
    this.#lastTxAt = Date.now()
  }

  /**
   * Publishes a message of at most 128 KiB to all peers of the room.
   *
   * @returns the number of neighbours that took the message; 0 while there is none.
   * @throws PeerworkError `too-large`, `invalid-argument`, `left` while the kernel is not started.
   */
  async broadcast (message: Json, options: { topic?: string } = {}): Promise<number> {
    this.#started()
    return await this.#publish(options.topic ?? this.#settings.topic, { type: 'peercompute-message', payload: message })
  }

  /**
   * Receives what peers broadcast on one more topic, until the returned function is called.
   *
   * @throws PeerworkError `invalid-argument` for more than 32 topics.
   */
  subscribeTopic (topic: string): () => void {
    if (this.#topics.has(topic)) return () => {}
    if (this.#topics.size > KERNEL_TOPICS_MAX) {
      throw new PeerworkError('invalid-argument', `a kernel subscribes to at most ${KERNEL_TOPICS_MAX} topics`)
    }
    this.#topics.set(topic, this.#node === undefined ? undefined : this.#listen(this.#node, topic))
    return () => {
      this.#topics.get(topic)?.()
      this.#topics.delete(topic)
    }
  }

  /** The present members of the room, without relays. */
  getConnectedPeers (): ConnectedPeer[] {
    const { gameId, roomId } = this.#settings
    return this.#node?.peers.map(({ id, name, lastSeen, connection }) => {
      return { peerId: id, gameId, roomId, lastSeen, via: connection === 'none' ? 'presence' : 'connection', connection, name }
    }) ?? []
  }

  getNetworkStats (): NetworkStats {
    return {
      peerId: this.peerId,
      peerCount: this.#node?.peers.length ?? 0,
      isConnected: this.isConnected,
      topology: this.#settings.topology,
      connections: this.#view.getConnections().length
    }
  }

  getHealth (): NetworkHealth {
    return {
      lastRxAt: this.#lastRxAt,
      lastTxAt: this.#lastTxAt,
      peerCount: this.#node?.peers.length ?? 0,
      pubsubPeers: this.#view.getPeers().map(String),
      reliability: this.#scheduler.reliability,
      dropped: this.#rates.dropped + this.#malformed
    }
  }

  /** Dials relays that are not connected at once, at most once a second. */
  async redialBootstrapPeers (): Promise<void> {
    if (clock() - this.#redialedAt < REDIAL_GAP_MS) return
    this.#redialedAt = clock()
    this.#node?.redial()
  }

  /**
   * A view of the open connections, with `getConnections()` and the events `connection:open`,
   * `connection:close`, `peer:connect` and `peer:disconnect`. It is no libp2p node: use the
   * functions of `kernel.node` for anything else.
   */
  getLibp2pNode (): ConnectionView {
    return this.#view
  }

  /** The peers that announced themselves on the discovery topics, at most 1000. */
  getDiscoveredPeers (): DiscoveredPeer[] {
    return this.#discovery.peers
  }

  /** Calls a handler for each new announcement, until the returned function is called. */
  addDiscoveryHandler (handler: (peer: DiscoveredPeer) => void): () => void {
    return this.#discovery.onPeer(handler)
  }

  /**
   * Changes settings of the scheduler and starts it.
   *
   * @throws PeerworkError `invalid-argument` for more than 32 topics.
   */
  configureScheduler (profile: Partial<SchedulerProfile> = {}): void {
    this.#scheduler.configure(profile)
    const { snapshotTopic, commandTopic, eventTopic } = this.#scheduler.profile
    for (const topic of [snapshotTopic, commandTopic, eventTopic]) if (topic !== null) this.subscribeTopic(topic)
    this.#schedule()
  }

  getSchedulerProfile (): SchedulerProfile {
    return this.#scheduler.profile
  }

  /** With `external` the scheduler has no timer, and sends at each `tickScheduler`. */
  setSchedulerClock (mode: 'internal' | 'external' = 'internal'): void {
    this.#clock = mode === 'external' ? 'external' : 'internal'
    this.#run()
  }

  getSchedulerClock (): 'internal' | 'external' {
    return this.#clock
  }

  tickScheduler (now = clock()): void {
    if (this.#scheduling) this.#scheduler.tick(now)
  }

  /** Adds a function whose data is sent in each snapshot; returns its id. */
  registerStateProvider (provider: Provider, options: { id?: string } = {}): string {
    const id = this.#scheduler.addStateProvider(provider, options.id)
    this.#schedule()
    return id
  }

  /** Adds a state provider that sends the deltas of tasks. */
  registerWarmDeltaProvider (provider: Provider, options: { id?: string } = {}): string {
    return this.registerStateProvider(provider, { id: options.id ?? 'warm-deltas' })
  }

  /** Adds a function whose data is sent in each command message; returns its id. */
  registerCommandProvider (provider: Provider, options: { id?: string } = {}): string {
    const id = this.#scheduler.addCommandProvider(provider, options.id)
    this.#schedule()
    return id
  }

  unregisterStateProvider (id: string): void {
    this.#scheduler.removeProvider(id)
  }

  unregisterCommandProvider (id: string): void {
    this.#scheduler.removeProvider(id)
  }

  /** Makes the next tick send a snapshot. */
  markStateDirty (): void {
    this.#scheduler.markDirty()
  }

  /**
   * Queues an event; see `EventOptions`. Events that are queued before the kernel is started are
   * sent when it is.
   *
   * @returns the id of the event.
   * @throws PeerworkError `invalid-argument`, `too-large` above 64 KiB of JSON.
   */
  queueEvent (payload: unknown, options: EventOptions = {}): string {
    const id = this.#scheduler.queueEvent(payload, options)
    this.#schedule()
    return id
  }

  addSnapshotHandler (handler: ScheduledHandler<SnapshotMessage>): () => void {
    return this.#scheduler.onSnapshot(handler)
  }

  addCommandHandler (handler: ScheduledHandler<CommandMessage>): () => void {
    return this.#scheduler.onCommand(handler)
  }

  addEventHandler (handler: ScheduledHandler<EventMessage>): () => void {
    return this.#scheduler.onEvent(handler)
  }

  /** Names the peer that decides: it alone gets commands, and its id is in the headers. */
  setAuthority (peerId: string | null | undefined): void {
    this.#scheduler.authorityId = peerId ?? null
  }

  getAuthority (): string | null {
    return this.#scheduler.authorityId
  }

  /**
   * For internal use: begins to work on a node that has joined.
   *
   * @internal
   */
  attach (node: PeerworkNode): void {
    this.#node = node
    this.#offs = [
      node.onMessage(({ from, data }) => { this.#receive(from, data) }),
      ...(['relay:connected', 'relay:disconnected', 'peer:join', 'peer:leave', 'peer:update'] as const)
        .map((event) => node.on(event, () => { this.#view.refresh(this.#node) }))
    ]
    for (const topic of this.#topics.keys()) this.#topics.set(topic, this.#listen(node, topic))
    this.#discovery.start(node)
    this.#view.refresh(node)
    this.#run()
  }

  /**
   * For internal use: sends what is queued, and ends the work on the node.
   *
   * @internal
   */
  async detach (): Promise<void> {
    this.#stopTimer()
    if (this.#scheduling) {
      const late = new Promise<void>((resolve) => { this.#timer = setTimeout(resolve, FAREWELL_MS) })
      await Promise.race([this.#scheduler.flush(), late])
      this.#stopTimer()
    }
    this.#discovery.stop()
    for (const off of this.#offs.splice(0)) off()
    for (const [topic, off] of this.#topics) {
      off?.()
      this.#topics.set(topic, undefined)
    }
    this.#node = undefined
    this.#view.refresh(undefined)
  }

  #started (): PeerworkNode {
    if (this.#node === undefined) throw new PeerworkError('left', 'the kernel is not started')
    return this.#node
  }

  #listen (node: PeerworkNode, topic: string): () => void {
    return node.subscribe(topic, ({ from, data }) => { this.#receive(from, data) })
  }

  #receive (from: string, data: unknown): void {
    if (!this.#rates.take(from)) return
    const { gameId, roomId } = this.#settings
    const message = parseMessage(data, { from, gameId, roomId })
    if (message === undefined) {
      this.#malformed += 1
      return
    }
    this.#lastRxAt = Date.now()
    if (message.type !== 'peercompute-message') {
      this.#scheduler.receive(from, message)
      return
    }
    for (const handler of [...this.#handlers]) callHandler('a message handler', handler, from, message.payload)
  }

  async #publish (topic: string, message: ProgramMessage | ScheduledMessage): Promise<number> {
    try {
      const taken = await this.#node?.publish(topic, message as unknown as Json) ?? 0
      if (taken > 0) this.#lastTxAt = Date.now()
      return taken
    } catch (error) {
      if (error instanceof PeerworkError && error.code === 'offline') return 0
      throw error
    }
  }

  async #publishScheduled (message: ScheduledMessage): Promise<void> {
    const { snapshotTopic, commandTopic, eventTopic } = this.#scheduler.profile
    const topics = { snapshot: snapshotTopic, command: commandTopic, event: eventTopic }
    try {
      await this.#publish(topics[message.header.type] ?? this.#settings.topic, message)
    } catch (error) {
      this.#warn(message, error)
    }
  }

  async #sendScheduled (peer: string, message: ScheduledMessage): Promise<void> {
    try {
      await this.#node?.send(peer, message as unknown as Json)
      this.#lastTxAt = Date.now()
    } catch (error) {
      // A peer that cannot be reached is expected; the event is sent again if it is reliable.
      if (error instanceof PeerworkError && error.side === 'caller' && error.code !== 'left') this.#warn(message, error)
    }
  }

  #warn ({ type }: ScheduledMessage, error: unknown): void {
    if (clock() - this.#warnedAt < WARNING_GAP_MS) return
    this.#warnedAt = clock()
    const why = error instanceof PeerworkError && error.code === 'too-large' ? `it exceeds ${PUBLISH_BYTES_MAX} bytes` : error
    console.warn(`[peerwork] a ${type} message could not be sent:`, why)
  }

  #schedule (): void {
    this.#scheduling = true
    this.#run()
  }

  /** Starts the timer of the scheduler, or stops it. */
  #run (): void {
    if (!this.#scheduling || this.#node === undefined || this.#clock === 'external') {
      this.#stopTimer()
      return
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#scheduler.tick()
      this.#run()
    }, this.#scheduler.tickMs)
  }

  #stopTimer (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
