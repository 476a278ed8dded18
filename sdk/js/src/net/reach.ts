/**
 * Connects to nodes: directly where an address can be dialled from here, else over a relay's circuit.
 *
 * Addresses come from strangers. Only those of the kinds below are dialled, and private ones only
 * where the user's own relay is private too.
 */

import { peerIdFromString } from '@libp2p/peer-id'
import { platform } from '#platform'
import { PeerworkError, messageOf } from '../errors.js'
import { orAborted } from '../time.js'
import { addressOf, isPrivateAddress, parseAddress, peersIn, wayOf } from './addresses.js'
import { connectionsTo, isRelayed } from './connections.js'
import type { Relays } from './relays.js'
import type { Connection, Libp2p, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Way } from './addresses.js'

/** Addresses tried in one dial. */
const DIAL_ADDRESSES_MAX = 12
/** How long one dial may take, over all its addresses; WebRTC needs several round trips. */
const DIAL_DEADLINE_MS = 15_000

/** Parsed ids kept; more than a room has members. */
const PEER_IDS_MAX = 4096

const DIRECT_WAYS: Record<'browser' | 'node', Way[]> = {
  // Pages reach each other by WebRTC only; that a stranger names a WebSocket server proves nothing.
  browser: [],
  node: ['tcp', 'web-socket']
}

export class Reach {
  readonly #libp2p: Libp2p
  readonly #relays: Relays
  readonly #privateAllowed: () => boolean
  readonly #peerIds = new Map<string, PeerId>()
  readonly #dialling = new Map<string, Promise<Connection>>()

  constructor (libp2p: Libp2p, relays: Relays, privateAllowed: () => boolean) {
    this.#libp2p = libp2p
    this.#relays = relays
    this.#privateAllowed = privateAllowed
  }

  /** Open connections to a node, the best one first. */
  open (id: string): Connection[] {
    return connectionsTo(this.#libp2p, this.#peerId(id))
  }

  /** Parsed once: every member of a room is looked at every second. */
  #peerId (id: string): PeerId {
    const known = this.#peerIds.get(id)
    if (known !== undefined) return known
    if (this.#peerIds.size >= PEER_IDS_MAX) this.#peerIds.clear()
    const parsed = peerIdFromString(id)
    this.#peerIds.set(id, parsed)
    return parsed
  }

  /**
   * The best connection to a node; dials it if there is none.
   *
   * @param hints addresses that the node, or a directory, names
   * @throws PeerworkError `peer-unreachable` with what was tried; the signal's reason when aborted.
   */
  async connect (id: string, hints: readonly string[], signal: AbortSignal): Promise<Connection> {
    const [best] = this.open(id)
    if (best !== undefined) return best
    const addresses = [...this.directAddresses(id, hints), ...this.#circuits(id, hints)]
    return await this.dial(id, addresses.slice(0, DIAL_ADDRESSES_MAX), signal)
  }

  /** Dials addresses that were chosen by this class; one dial for a node at a time. */
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
    try {
      return await this.#libp2p.dial(addresses, {
        // A limited connection must not count as the one that is wanted.
        force: true,
        signal: AbortSignal.timeout(DIAL_DEADLINE_MS)
      })
    } catch (cause) {
      throw new PeerworkError('peer-unreachable', `${id} cannot be reached: ${messageOf(cause)}`, { cause })
    }
  }

  /** The hints that can be dialled from here without a relay. */
  directAddresses (id: string, hints: readonly string[]): Multiaddr[] {
    return this.#usable(id, hints, DIRECT_WAYS[platform.name])
  }

  /** The WebRTC address of a node to which a circuit is open, if both sides speak WebRTC. */
  webRtcAddress (id: string, hints: readonly string[]): Multiaddr | undefined {
    if (platform.name !== 'browser') return undefined
    if (!hints.some((hint) => isWebRtc(hint))) return undefined
    const circuit = this.open(id).find(isRelayed)
    return circuit?.remoteAddr.decapsulate('/p2p-circuit')
      .encapsulate(`/p2p-circuit/webrtc/p2p/${id}`)
  }

  /**
   * Circuits over own relays: first those that the node names, then the others, which say at once that
   * they do not know it (what a node names may be a second old). Then those over relays of its own.
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

  /** The address of a node over a relay that is connected. */
  circuitOver (relay: string, id: string): Multiaddr | undefined {
    const connection = this.open(relay)[0]
    return connection?.remoteAddr.encapsulate(`/p2p-circuit/p2p/${id}`)
  }

  #canDialRelayOf (circuit: Multiaddr): boolean {
    const way = wayOf(circuit.decapsulate('/p2p-circuit'))
    if (way === 'web-socket') return true
    return way === (platform.name === 'node' ? 'tcp' : 'web-rtc-direct')
  }

  #usable (id: string, hints: readonly string[], ways: Way[]): Multiaddr[] {
    const privateAllowed = this.#privateAllowed()
    return hints.flatMap((hint) => {
      const parsed = parseAddress(hint)
      const address = parsed === undefined ? undefined : addressOf(parsed, id)
      if (address === undefined) return []
      const way = wayOf(address)
      const allowed = way !== undefined && ways.includes(way)
      return allowed && (privateAllowed || !isPrivateAddress(address)) ? [address] : []
    })
  }
}

function isWebRtc (hint: string): boolean {
  const address = parseAddress(hint)
  return address !== undefined && wayOf(address) === 'web-rtc'
}
