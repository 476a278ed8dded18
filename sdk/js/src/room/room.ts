/** `Room` creates the parts of a node, connects them and runs them until the node leaves. */

import { platform } from '#platform'
import { longController } from '../abort.js'
import { Compute } from '../compute/compute.js'
import { Edges } from '../fetch/edges.js'
import { startNetwork } from '../net/libp2p.js'
import { Mesh } from '../net/mesh.js'
import { Reach } from '../net/reach.js'
import { Relays } from '../net/relays.js'
import { isRelayed } from '../net/connections.js'
import { clock, wait } from '../time.js'
import { States } from '../state/states.js'
import { Messages } from './messages.js'
import { peerOf } from './peer.js'
import { Presence } from './presence.js'
import { Streams } from './streams.js'
import { Topics } from './topics.js'
import type { Emitter } from '../events.js'
import type { Network } from '../net/libp2p.js'
import type { RefusedPeer } from '../net/membership.js'
import type { RelayStatus } from '../net/relay-link.js'
import type { CheckedOptions } from '../options.js'
import type { StateStorage } from '../state/storage.js'
import type { RoomNames } from './names.js'
import type { OwnPresence } from './presence.js'
import type { Peer } from './peer.js'
import type { Member } from './roster.js'

/** The events of a node. */
export interface NodeEvents {
  /** A peer joined. */
  'peer:join': Peer
  /** A peer left, or was silent for too long. */
  'peer:leave': Peer
  /** The name, state, compute offer or connection of a peer changed. */
  'peer:update': Peer
  /** A relay was connected, for the first time or again. */
  'relay:connected': RelayStatus
  /** The connection to a relay was lost; the relay is dialled again. */
  'relay:disconnected': RelayStatus
  /**
   * The node and another node could not prove a secret of one network to each other; the connection
   * was closed.
   */
  'peer:refused': RefusedPeer
  /**
   * A state could not be loaded from its storage or saved to it. The node goes on and tries again;
   * further failures are reported after a success only.
   */
  'state:unsaved': UnsavedState
}

/** A state whose storage failed. */
export interface UnsavedState {
  /** The name of the state. */
  name: string
  /** The failure, in words. */
  reason: string
}

/** The interval of the checks of connections and silent peers. */
const TICK_MS = 1_000
/** The time that a node that leaves has for storing the last changes of its states. */
const STORE_MS = 5_000

/** @internal */
export class Room {
  readonly network: Network
  readonly relays: Relays
  readonly reach: Reach
  readonly topics: Topics
  readonly presence: Presence
  readonly streams: Streams
  readonly messages = new Messages()
  readonly states: States
  readonly compute: Compute
  readonly edges: Edges
  readonly own: OwnPresence
  readonly #mesh: Mesh
  readonly #emitter: Emitter<NodeEvents>
  readonly #leaving: AbortController
  readonly #storage: StateStorage | undefined
  readonly #kinds = new Map<string, Peer['connection']>()
  #presenceRunning: Promise<void> = Promise.resolve()
  #attending = false
  #left: Promise<void> | undefined

  private constructor (
    network: Network, relays: Relays, options: CheckedOptions,
    emitter: Emitter<NodeEvents>, leaving: AbortController
  ) {
    const self = network.libp2p.peerId.toString()
    this.network = network
    this.relays = relays
    this.#emitter = emitter
    this.#leaving = leaving
    this.#storage = options.storage
    const privateAllowed = (): boolean => options.allowPrivateAddresses ?? relays.anyPrivate
    this.reach = new Reach(network, relays, privateAllowed)
    this.topics = new Topics(network)
    this.own = {
      name: options.name,
      state: options.state,
      workers: 0,
      addresses: () => network.libp2p.getMultiaddrs().map(String)
    }
    this.presence = new Presence(this.topics, options.names.presenceTopic, self, this.own, {
      onChange: (change, member) => { this.#onMember(change, member) },
      onHeard: (id, addressesChanged) => {
        if (addressesChanged) this.#mesh.forget(id)
        this.#attend()
      }
    })
    const { roster } = this.presence
    this.#mesh = new Mesh(self, this.reach, roster, () => this.own.addresses().length > 0)
    this.streams = new Streams(network.libp2p, this.reach, roster)
    this.edges = new Edges(this.reach, relays)
    this.states = new States(self, this.topics, options.names, {
      ids: () => roster.members.map(({ id }) => id),
      openStream: async (peer, protocol, signal) => await this.streams.open(peer, protocol, signal),
      storage: options.storage,
      onUnsaved: (name, error) => { emitter.emit('state:unsaved', { name, reason: error.message }) }
    }, leaving.signal)
    this.compute = new Compute({
      offering: () => roster.members.filter(({ here }) => here.workers > 0).map(({ id }) => id),
      openStream: async (peer, signal) => await this.streams.open(peer, options.names.computeProtocol, signal)
    }, (workers) => {
      this.own.workers = workers
      this.presence.announce()
    })
  }

  /** Starts all parts; resolves when a relay is connected or the time for connecting is over. */
  static async start (options: CheckedOptions, emitter: Emitter<NodeEvents>): Promise<Room> {
    const leaving = longController()
    let room: Room | undefined
    const relays = new Relays(options.sources, {
      onConnected: (relay) => { room?.onRelay('relay:connected', relay) },
      onDisconnected: (relay) => { room?.onRelay('relay:disconnected', relay) },
      onPlacesChanged: () => { room?.presence.announce() }
    })
    const network = await startNetwork({
      privateKey: options.identity.privateKey,
      listen: options.listen,
      iceServers: () => options.iceServers ?? relays.iceServers,
      isRelay: (id) => relays.has(id),
      tokens: options.tokens,
      membership: options.membership
    })
    room = new Room(network, relays, options, emitter, leaving)
    await room.#begin(options)
    return room
  }

  async #begin (options: CheckedOptions): Promise<void> {
    const { signal } = this.#leaving
    const { names } = options
    try {
      await this.streams.take(names.messageProtocol, async (stream, from) => { await this.messages.receive(stream, from) })
      await this.streams.take(names.stateProtocol, async (stream, from) => { await this.states.serve(stream, from) })
      await this.streams.take(names.computeProtocol, async (stream, from) => { await this.compute.serve(stream, from) })
      this.#watch(names, signal)
      this.relays.start(this.network, signal)
      this.#presenceRunning = this.presence.run(signal)
      await this.relays.joined(options, signal)
    } catch (error) {
      await this.leave()
      throw error
    }
  }

  get left (): boolean {
    return this.#leaving.signal.aborted
  }

  get leaving (): AbortSignal {
    return this.#leaving.signal
  }

  get peers (): Peer[] {
    return this.presence.roster.members.map((member) => this.#peer(member))
  }

  /** Announces the departure and stops all parts; a further call waits for the end of the first. */
  async leave (): Promise<void> {
    this.#left ??= this.#leave()
    await this.#left
  }

  async #leave (): Promise<void> {
    this.compute.stop()
    await Promise.all([this.presence.goodbye().catch(() => {}), this.#store()])
    this.#leaving.abort(new DOMException('the node left', 'AbortError'))
    this.topics.stop()
    await this.#presenceRunning
    await this.relays.stopped()
    await this.network.stop()
    this.presence.roster.clear()
  }

  /** Stores the last changes of the states, but not for longer than `STORE_MS`. */
  async #store (): Promise<void> {
    const over = new AbortController()
    const finished = this.states.finished().then(async () => { await this.#storage?.close?.() })
    await Promise.race([finished.catch(() => {}), wait(STORE_MS, over.signal).catch(() => {})])
    over.abort()
  }

  /** Forwards the events of libp2p, and checks connections and peers once a second. */
  #watch (names: RoomNames, signal: AbortSignal): void {
    const { libp2p, gossipStreams, membership, pubsub } = this.network
    gossipStreams.isForwarded = () => {
      return pubsub.getSubscribers(names.presenceTopic).some((peer) => this.relays.has(peer.toString()))
    }
    const attend = (): void => {
      gossipStreams.attendAll()
      this.#attend()
    }
    pubsub.addEventListener('subscription-change', ({ detail }) => {
      const begun = detail.subscriptions.flatMap(({ topic, subscribe }) => subscribe ? [topic] : [])
      this.states.onLink(detail.peerId.toString(), begun)
    })
    membership.onOpened = attend
    membership.onRefused = (peer) => { if (!this.left) this.#emitter.emit('peer:refused', peer) }
    libp2p.addEventListener('connection:open', attend)
    libp2p.addEventListener('connection:close', attend)
    libp2p.addEventListener('peer:disconnect', (event) => {
      this.presence.roster.closed(event.detail.toString(), clock())
      this.#mesh.forget(event.detail.toString())
    })
    libp2p.addEventListener('self:peer:update', () => { this.presence.announce() })
    const tick = setInterval(() => {
      this.presence.expire((id) => this.reach.open(id).length > 0)
      attend()
    }, TICK_MS)
    const offExit = platform.onExit(() => {
      this.states.hurry()
      void this.presence.goodbye().catch(() => {})
    })
    signal.addEventListener('abort', () => {
      clearInterval(tick)
      offExit()
    }, { once: true })
  }

  onRelay (event: 'relay:connected' | 'relay:disconnected', relay: RelayStatus): void {
    if (this.left) return
    if (event === 'relay:connected') {
      this.#mesh.forget()
      this.presence.ask()
      this.states.onReturn()
    }
    this.#emitter.emit(event, relay)
  }

  #onMember (change: 'join' | 'update' | 'leave', member: Member): void {
    if (this.left) return
    if (change === 'join') this.states.onJoin()
    if (change === 'leave') this.#kinds.delete(member.id)
    else this.#kinds.set(member.id, this.#kindOf(member.id))
    this.#emitter.emit(`peer:${change}`, this.#peer(member))
  }

  /**
   * Schedules a check of the connections; several calls in one turn of the event loop cause one
   * check.
   */
  #attend (): void {
    if (this.#attending || this.left) return
    this.#attending = true
    queueMicrotask(() => {
      this.#attending = false
      if (this.left) return
      this.#mesh.attend(this.#leaving.signal)
      for (const member of this.presence.roster.members) {
        const kind = this.#kindOf(member.id)
        if (this.#kinds.get(member.id) === kind) continue
        this.#kinds.set(member.id, kind)
        this.#emitter.emit('peer:update', this.#peer(member))
      }
    })
  }

  #kindOf (id: string): Peer['connection'] {
    const [best] = this.reach.open(id)
    if (best === undefined) return 'none'
    return isRelayed(best) ? 'relayed' : 'direct'
  }

  #peer (member: Member): Peer {
    return peerOf(member, this.#kindOf(member.id))
  }
}
