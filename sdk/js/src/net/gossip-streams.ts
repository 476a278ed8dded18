/**
 * Keeps gossip on the best connection to each peer.
 *
 * gossipsub opens one stream to a peer on the first connection that comes up, which is the circuit,
 * and opens no other when that stream ends while another connection stays. Here its view of
 * connections passes through {@link GossipStreams}: when a better connection comes up, or the one
 * that carried gossip ends, the stream is closed and gossipsub is told of the peer again.
 *
 * gossipsub opens its streams one after the other, so that one dead connection would keep all other
 * peers waiting. The streams are opened here instead, all at once, and gossipsub is told of a peer
 * when its stream is there.
 *
 * A circuit carries gossip only while no relay forwards it: otherwise the relay would carry every
 * message once as the hub and once more for every pair of peers.
 */

import { isRelayed } from './connections.js'
import type { Connection, PeerId, Stream, Topology } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'

/** How long opening a stream may take. */
const OPEN_DEADLINE_MS = 10_000

type OnConnect = NonNullable<Topology['onConnect']>

interface Carrier {
  connection: Connection
  stream: Stream
}

export class GossipStreams {
  readonly #connections: Pick<ConnectionManager, 'getConnections'>
  /** What gossipsub writes to. */
  readonly #carriers = new Map<string, Carrier>()
  /** Opened for gossipsub, which has not taken them yet. */
  readonly #ready = new Map<string, Carrier>()
  /** On which connection a stream is being opened. */
  readonly #opening = new Map<string, Connection>()
  /** The versions of gossip, the best one first. */
  readonly #protocols: string[] = []
  /** Peers that speak gossip. */
  readonly #speakers = new Map<string, PeerId>()
  #onConnect: OnConnect | undefined
  /** Whether a relay forwards the room's topics. */
  isForwarded: () => boolean = () => false

  constructor (connections: Pick<ConnectionManager, 'getConnections'>) {
    this.#connections = connections
  }

  /** The registrar that gossipsub is given in place of the node's own. */
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
        // gossipsub answers with a stream of its own on the connection that it is given.
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

  /** Looks after all peers; called when connections came or went, and from time to time. */
  attendAll (): void {
    for (const id of this.#speakers.keys()) this.attend(id)
  }

  /** Moves the gossip with one peer to its best connection, if it is not there. */
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
    const connections = this.#connections.getConnections(peer).filter(({ status }) => status === 'open')
    return connections.find((connection) => !isRelayed(connection)) ?? offered ?? connections.at(-1)
  }

  /** Everything queued is sent first. Its end then makes gossipsub forget the stream. */
  async #leave ({ stream }: Carrier): Promise<void> {
    try {
      await stream.close({ signal: AbortSignal.timeout(2000) })
    } catch {}
    stream.abort(new Error('gossip moves to a better connection'))
  }

  /** Opens a stream to a peer and offers it to gossipsub; tried again when the peer is attended next. */
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
      // The connection is about to end, or the peer speaks no gossip any more.
    } finally {
      if (this.#opening.get(id) === connection) this.#opening.delete(id)
    }
  }

  /** A connection on which gossipsub gets the stream that was opened for it, or none yet. */
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
      // gossipsub's own listener comes after this one and must forget the stream first.
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
