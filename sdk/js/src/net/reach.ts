/**
 * `Reach` connects to nodes: directly where this node can dial one of their addresses, otherwise by
 * a circuit through a relay.
 *
 * The addresses come from strangers. Only transports that suit this platform are dialled, and
 * private addresses only when a relay that the user named has a private address too.
 */

import { peerIdFromString } from '@libp2p/peer-id'
import { platform } from '#platform'
import { PeerworkError, messageOf } from '../errors.js'
import { orAborted } from '../time.js'
import { addressOf, isPrivateAddress, parseAddress, peersIn, transportOf } from './addresses.js'
import { connectionsTo, isRelayed } from './connections.js'
import { isHeld } from './gate.js'
import type { Core } from './core.js'
import type { Membership } from './membership.js'
import type { Relays } from './relays.js'
import type { Connection, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { TransportKind } from './addresses.js'

/** The number of addresses tried in one dial. */
const DIAL_ADDRESSES_MAX = 12
/** The time for one dial with all its addresses; WebRTC needs several round trips. */
const DIAL_DEADLINE_MS = 15_000

/** The number of parsed ids in the cache; it exceeds the number of members of a room. */
const PEER_IDS_MAX = 4096

const DIRECT_TRANSPORTS: Record<'browser' | 'node', TransportKind[]> = {
  // Pages dial each other by WebRTC only. A WebSocket address that a stranger names may belong to
  // any server.
  browser: [],
  node: ['tcp', 'web-socket']
}

export class Reach {
  readonly #libp2p: Libp2p
  readonly #membership: Membership
  readonly #relays: Relays
  readonly #privateAllowed: () => boolean
  readonly #peerIds = new Map<string, PeerId>()
  readonly #dialling = new Map<string, Promise<Connection>>()

  constructor (network: Pick<Core, 'libp2p' | 'membership'>, relays: Relays, privateAllowed: () => boolean) {
    this.#libp2p = network.libp2p
    this.#membership = network.membership
    this.#relays = relays
    this.#privateAllowed = privateAllowed
  }

  /** The open connections to a node, the best connection first. */
  open (id: string): Connection[] {
    return connectionsTo(this.#libp2p, this.#peerId(id))
  }

  /**
   * Parses a peer id once and caches it, because every member of a room is checked every second.
   */
  #peerId (id: string): PeerId {
    const known = this.#peerIds.get(id)
    if (known !== undefined) return known
    if (this.#peerIds.size >= PEER_IDS_MAX) this.#peerIds.clear()
    const parsed = peerIdFromString(id)
    this.#peerIds.set(id, parsed)
    return parsed
  }

  /**
   * Returns the best connection to a node, and dials the node if there is none.
   *
   * @param hints addresses that the node or a directory announced
   * @throws PeerworkError `peer-unreachable` with the addresses that were tried; the signal's
   * reason when aborted.
   */
  async connect (id: string, hints: readonly string[], signal: AbortSignal): Promise<Connection> {
    const [best] = this.open(id)
    if (best !== undefined) return best
    const addresses = [...this.directAddresses(id, hints), ...this.#circuits(id, hints)]
    return await this.dial(id, addresses.slice(0, DIAL_ADDRESSES_MAX), signal)
  }

  /** Dials addresses that this class chose; only one dial for a node runs at a time. */
  async dial (id: string, addresses: Multiaddr[], signal: AbortSignal): Promise<Connection> {
    if (addresses.length === 0) {
      throw new PeerworkError('peer-unreachable', `${id}: no relay is connected, and no address of it can be dialled`)
    }
    const running = this.#dialling.get(id)
    if (running !== undefined) return await orAborted(running, signal)
    const dialling = this.#dialOnce(id, addresses).finally(() => { this.#dialling.delete(id) })
    this.#dialling.set(id, dialling)
    return await orAborted(dialling, signal)
  }

  async #dialOnce (id: string, addresses: Multiaddr[]): Promise<Connection> {
    const signal = AbortSignal.timeout(DIAL_DEADLINE_MS)
    try {
      // A circuit, which is a limited connection, must not satisfy the dial for a direct connection.
      const connection = await this.#libp2p.dial(addresses, { force: true, signal })
      if (isHeld(connection)) await this.#membership.passed(connection, signal)
      return connection
    } catch (cause) {
      throw new PeerworkError('peer-unreachable', `${id} cannot be reached: ${messageOf(cause)}`, { cause })
    }
  }

  /** The hints that this node can dial without a relay. */
  directAddresses (id: string, hints: readonly string[]): Multiaddr[] {
    return this.#usable(id, hints, DIRECT_TRANSPORTS[platform.name])
  }

  /** The WebRTC address of a node that a circuit is open to, if both sides support WebRTC. */
  webRtcAddress (id: string, hints: readonly string[]): Multiaddr | undefined {
    if (platform.name !== 'browser') return undefined
    if (!hints.some((hint) => isWebRtc(hint))) return undefined
    const circuit = this.open(id).find(isRelayed)
    return circuit?.remoteAddr.decapsulate('/p2p-circuit')
      .encapsulate(`/p2p-circuit/webrtc/p2p/${id}`)
  }

  /**
   * Circuit addresses of a node. Relays of this node that the peer announced come first. The other
   * relays of this node follow, because the announcement may be outdated, and a relay without the
   * reservation refuses at once. Relays that only the peer uses come last.
   */
  #circuits (id: string, hints: readonly string[]): Multiaddr[] {
    const named = this.#usable(id, hints, ['circuit'])
    const isNamed = (relay: string): boolean => named.some((one) => peersIn(one)[0] === relay)
    const own = this.#relays.connectedIds.sort((a, b) => Number(isNamed(b)) - Number(isNamed(a)))
    const foreign = named.filter((address) => {
      const relay = peersIn(address)[0]
      return relay !== undefined && !this.#relays.has(relay) && this.#canDialRelayOf(address)
    })
    return [...own.flatMap((relay) => this.circuitOver(relay, id) ?? []), ...foreign]
  }

  /** The address of a node through a connected relay. */
  circuitOver (relay: string, id: string): Multiaddr | undefined {
    const connection = this.open(relay)[0]
    return connection?.remoteAddr.encapsulate(`/p2p-circuit/p2p/${id}`)
  }

  #canDialRelayOf (circuit: Multiaddr): boolean {
    const kind = transportOf(circuit.decapsulate('/p2p-circuit'))
    if (kind === 'web-socket') return true
    return kind === (platform.name === 'node' ? 'tcp' : 'web-rtc-direct')
  }

  #usable (id: string, hints: readonly string[], kinds: TransportKind[]): Multiaddr[] {
    const privateAllowed = this.#privateAllowed()
    return hints.flatMap((hint) => {
      const parsed = parseAddress(hint)
      const address = parsed === undefined ? undefined : addressOf(parsed, id)
      if (address === undefined) return []
      const kind = transportOf(address)
      const allowed = kind !== undefined && kinds.includes(kind)
      return allowed && (privateAllowed || !isPrivateAddress(address)) ? [address] : []
    })
  }
}

function isWebRtc (hint: string): boolean {
  const address = parseAddress(hint)
  return address !== undefined && transportOf(address) === 'web-rtc'
}
