/**
 * Keeps gossip on the best connection to each peer.
 *
 * gossipsub opens one stream to a peer on the first connection that comes up, which is the circuit,
 * and opens no other when that stream ends while another connection stays. Here its view of
 * connections passes through {@link GossipStreams}: when a better connection comes up, or the one
 * that carried gossip ends, the stream is closed and gossipsub is told of the peer again.
 *
 * A circuit carries gossip only while no relay forwards it: otherwise the relay would carry every
 * message once as the hub and once more for every pair of peers.
 */

import { isRelayed } from './connections.js'
import type { Connection, PeerId, Stream, Topology } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'

type OnConnect = NonNullable<Topology['onConnect']>

interface Carrier {
  connection: Connection
  stream: Stream
}

export class GossipStreams {
  readonly #connections: Pick<ConnectionManager, 'getConnections'>
  readonly #carriers = new Map<string, Carrier>()
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
      const own: Topology = {
        ...topology,
        onConnect: (peer, connection) => {
          this.#speakers.set(peer.toString(), peer)
          this.attend(peer.toString(), connection)
        },
        onDisconnect: (peer) => {
          this.#speakers.delete(peer.toString())
          this.#carriers.delete(peer.toString())
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
        await handler(stream, this.#watched(this.#best(peer, connection) ?? connection))
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
      if (!silent) void this.#onConnect?.(peer, this.#watched(best))
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

  /** The connection, telling which stream gossipsub opens on it. */
  #watched (connection: Connection): Connection {
    const newStream: Connection['newStream'] = async (protocols, options) => {
      const stream = await connection.newStream(protocols, options)
      this.#carry(connection, stream)
      return stream
    }
    return new Proxy(connection, {
      get: (target, property) => {
        if (property === 'newStream') return newStream
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
  }

  #carry (connection: Connection, stream: Stream): void {
    const id = connection.remotePeer.toString()
    this.#carriers.set(id, { connection, stream })
    stream.addEventListener('close', () => {
      if (this.#carriers.get(id)?.stream !== stream) return
      this.#carriers.delete(id)
      // gossipsub's own listener comes after this one and must forget the stream first.
      queueMicrotask(() => { this.attend(id) })
    }, { once: true })
  }
}
