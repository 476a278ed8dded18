/**
 * `GossipStreams` keeps the gossipsub stream to each peer on the best connection.
 *
 * gossipsub opens one stream to a peer, on the first connection that comes up, which is the
 * circuit. It opens no other stream when that stream ends while another connection remains. So
 * gossipsub sees connections only through {@link GossipStreams}: when a better connection comes up,
 * or the connection with the gossip stream ends, the stream is closed and gossipsub is notified of
 * the peer again.
 *
 * gossipsub opens its streams one after the other, so that one dead connection would delay all
 * other peers. {@link GossipStreams} opens the streams itself, all at once, and notifies gossipsub
 * of a peer when the stream is open.
 *
 * A circuit carries gossip only while no relay forwards the room's topics. Otherwise the relay
 * would carry every message once as the hub and once more for every pair of peers.
 */

import { isRelayed, isUsable } from './connections.js'
import type { Connection, PeerId, Stream, Topology } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'

/** The time for opening a stream. */
const OPEN_DEADLINE_MS = 10_000

type OnConnect = NonNullable<Topology['onConnect']>

interface Carrier {
  connection: Connection
  stream: Stream
}

export class GossipStreams {
  readonly #connections: Pick<ConnectionManager, 'getConnections'>
  /** The streams that gossipsub writes to, by peer. */
  readonly #carriers = new Map<string, Carrier>()
  /** The streams that were opened for gossipsub and that it has not taken yet, by peer. */
  readonly #ready = new Map<string, Carrier>()
  /** The connections on which a stream is being opened, by peer. */
  readonly #opening = new Map<string, Connection>()
  /** The protocol versions of gossipsub, in order of preference. */
  readonly #protocols: string[] = []
  /** The peers that speak gossipsub. */
  readonly #speakers = new Map<string, PeerId>()
  #onConnect: OnConnect | undefined
  /** Whether a relay forwards the room's topics. */
  isForwarded: () => boolean = () => false

  constructor (connections: Pick<ConnectionManager, 'getConnections'>) {
    this.#connections = connections
  }

  /** Wraps the node's registrar; gossipsub registers its protocols with the wrapper. */
  wrap (registrar: Registrar): Registrar {
    const register: Registrar['register'] = async (protocol, topology, options) => {
      this.#onConnect = topology.onConnect
      this.#protocols.push(protocol)
      const own: Topology = {
        ...topology,
        onConnect: (peer, connection) => {
          this.#speakers.set(peer.toString(), peer)
          this.attend(peer.toString(), connection)
        },
        onDisconnect: (peer) => {
          this.#forget(peer.toString())
          return topology.onDisconnect?.(peer)
        }
      }
      return await registrar.register(protocol, own, options)
    }
    const handle: Registrar['handle'] = async (protocol, handler, options) => {
      await registrar.handle(protocol, async (stream, connection) => {
        const peer = connection.remotePeer
        this.#speakers.set(peer.toString(), peer)
        // gossipsub answers with a stream of its own on the connection that it gets here.
        await handler(stream, this.#offering(this.#best(peer, connection) ?? connection))
      }, options)
    }
    return new Proxy(registrar, {
      get: (target, property) => {
        if (property === 'register') return register
        if (property === 'handle') return handle
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
  }

  /** Checks all peers; called when a connection began or ended, and at intervals. */
  attendAll (): void {
    for (const id of this.#speakers.keys()) this.attend(id)
  }

  /** Moves the gossip stream to one peer to the best connection, if it is not there yet. */
  attend (id: string, offered?: Connection): void {
    const peer = this.#speakers.get(id)
    if (peer === undefined) return
    const best = this.#best(peer, offered)
    if (best === undefined) return
    const carrier = this.#carriers.get(id)
    const silent = isRelayed(best) && this.isForwarded()
    if (carrier === undefined || carrier.stream.writeStatus !== 'writable') {
      if (!silent) void this.#open(peer, best)
    } else if (isRelayed(carrier.connection) && (silent || !isRelayed(best))) {
      void this.#leave(carrier)
    }
  }

  #best (peer: PeerId, offered: Connection | undefined): Connection | undefined {
    const connections = this.#connections.getConnections(peer).filter(isUsable)
    return connections.find((connection) => !isRelayed(connection)) ?? offered ?? connections.at(-1)
  }

  /** Closes a stream after all queued bytes were sent. Its end makes gossipsub forget it. */
  async #leave ({ stream }: Carrier): Promise<void> {
    try {
      await stream.close({ signal: AbortSignal.timeout(2000) })
    } catch {}
    stream.abort(new Error('gossip moves to a better connection'))
  }

  /**
   * Opens a stream to a peer and offers it to gossipsub; a failure is retried at the next check of
   * the peer.
   */
  async #open (peer: PeerId, connection: Connection): Promise<void> {
    const id = peer.toString()
    if (this.#opening.get(id) === connection) return
    this.#opening.set(id, connection)
    try {
      if (this.#ready.get(id)?.stream.writeStatus !== 'writable') {
        const stream = await connection.newStream(this.#protocols, {
          runOnLimitedConnection: true,
          signal: AbortSignal.timeout(OPEN_DEADLINE_MS)
        })
        if (!this.#speakers.has(id) || this.#carriers.get(id)?.stream.writeStatus === 'writable') {
          return stream.abort(new Error('nobody needs it any more'))
        }
        this.#ready.set(id, { connection, stream })
      }
      void this.#onConnect?.(peer, this.#offering(connection))
    } catch {
      // The connection is about to end, or the peer does not speak gossipsub any more.
    } finally {
      if (this.#opening.get(id) === connection) this.#opening.delete(id)
    }
  }

  /**
   * A view of a connection, on which gossipsub gets the stream that was opened for it, or no stream
   * yet.
   */
  #offering (connection: Connection): Connection {
    const peer = connection.remotePeer
    const newStream: Connection['newStream'] = async () => {
      const ready = this.#ready.get(peer.toString())
      this.#ready.delete(peer.toString())
      if (ready?.stream.writeStatus !== 'writable') {
        void this.#open(peer, connection)
        throw new Error('a stream for gossip is being opened')
      }
      this.#carry(ready)
      return ready.stream
    }
    return new Proxy(connection, {
      get: (target, property) => {
        if (property === 'newStream') return newStream
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
  }

  #carry (carrier: Carrier): void {
    const { connection, stream } = carrier
    const id = connection.remotePeer.toString()
    this.#carriers.set(id, carrier)
    stream.addEventListener('close', () => {
      if (this.#carriers.get(id)?.stream !== stream) return
      this.#carriers.delete(id)
      // The microtask runs after gossipsub's own listener, which must forget the stream first.
      queueMicrotask(() => { this.attend(id) })
    }, { once: true })
  }

  #forget (id: string): void {
    this.#speakers.delete(id)
    this.#carriers.delete(id)
    this.#ready.get(id)?.stream.abort(new Error('the peer is gone'))
    this.#ready.delete(id)
  }
}
