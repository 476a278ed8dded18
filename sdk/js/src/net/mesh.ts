/**
 * `Mesh` keeps this node connected to the members of its room, and replaces circuits through relays
 * by direct connections.
 *
 * Of two peers the peer with the smaller id dials. The other peer dials only when it cannot be
 * dialled itself, or when no connection came for a while. A peer that is connected by a circuit is
 * then dialled directly (WebRTC between pages, TCP or WebSocket between Node.js processes), and the
 * circuit is closed.
 */

import { Backoff, clock } from '../time.js'
import { isRelayed } from './connections.js'
import type { Reach } from './reach.js'
import type { Roster, Member } from '../room/roster.js'
import type { Connection } from '@libp2p/interface'

/**
 * The number of peers that a node dials by itself; it reaches the others by gossip and connects to
 * them on demand. In rooms of up to 17 members all members are connected to each other.
 */
const NEIGHBOURS_MAX = 16
/**
 * In larger rooms the first dials to a new member are spread over this time, multiplied by the
 * number of members. A relay forwards only a few circuits at once to one node (ten in libp2p's own
 * relay) and drops the others without an answer.
 */
const SPREAD_MS_PER_MEMBER = 25
const SPREAD_MS_MAX = 2_000
const SPREAD_MEMBERS_MIN = 9
/** The number of concurrent dials. */
const DIALS_MAX = 4
/** The time after which the peer with the larger id dials too, when no connection came. */
const TURN_MS = 8_000
const DIAL_PAUSES = { minMs: 1_000, maxMs: 60_000 }
/**
 * The pauses between attempts at a direct connection. They grow long, because between some networks
 * no direct connection is possible.
 */
const UPGRADE_PAUSES = { minMs: 2_000, maxMs: 300_000 }
/** The time for which a direct connection must have lasted before the circuit is closed. */
const RETIRE_MS = 5_000

interface LinkState {
  /** The rank of this pair among all pairs: equal at both ends, and pseudo-random. */
  order: number
  dial: Backoff
  upgrade: Backoff
  /** The time at which the next attempt may begin. */
  dialAt: number
  upgradeAt: number
  /** The time since which there has been no connection. */
  unconnectedSince: number | undefined
  relayedSince: number | undefined
  busy: boolean
}

export class Mesh {
  readonly #self: string
  readonly #reach: Reach
  readonly #roster: Roster
  readonly #hasAddress: () => boolean
  readonly #links = new Map<string, LinkState>()
  #dials = 0

  /** @param hasAddress whether other nodes can dial this node */
  constructor (self: string, reach: Reach, roster: Roster, hasAddress: () => boolean) {
    this.#self = self
    this.#reach = reach
    this.#roster = roster
    this.#hasAddress = hasAddress
  }

  /** Checks every member once; called after each change and once a second. */
  attend (signal: AbortSignal, now = clock()): void {
    const members = this.#membersInOrder(now)
    for (const id of this.#links.keys()) {
      if (this.#roster.get(id) === undefined) this.#links.delete(id)
    }
    let neighbours = members.filter(({ id }) => this.#reach.open(id).length > 0).length
    for (const member of members) {
      if (signal.aborted) return
      const link = this.#linkOf(member.id, now)
      const connections = this.#reach.open(member.id)
      const direct = connections.find((connection) => !isRelayed(connection))
      link.unconnectedSince = connections.length === 0 ? link.unconnectedSince ?? now : undefined
      link.relayedSince = connections.length > 0 && direct === undefined ? link.relayedSince ?? now : undefined
      if (direct !== undefined) {
        link.upgrade.reset()
        this.#retire(member.id, connections, direct, now)
      } else if (connections.length > 0) {
        link.dial.reset()
        this.#upgrade(member, link, now, signal)
      } else if (neighbours < NEIGHBOURS_MAX) {
        neighbours += 1
        this.#dial(member, link, now, signal)
      }
    }
  }

  /** Clears the pauses after failures, because a peer has new addresses or a relay is back. */
  forget (id?: string): void {
    const links = id === undefined ? [...this.#links.values()] : [this.#links.get(id)]
    for (const link of links) {
      if (link === undefined) continue
      if (link.dial.failures > 0) link.dialAt = 0
      link.dial.reset()
    }
  }

  /**
   * The members in the order of their pairs' ranks. All nodes use the same ranks, so that no member
   * is chosen by all.
   */
  #membersInOrder (now: number): Member[] {
    const order = (member: Member): number => this.#linkOf(member.id, now).order
    return this.#roster.members.sort((a, b) => order(a) - order(b))
  }

  #linkOf (id: string, now: number): LinkState {
    const known = this.#links.get(id)
    if (known !== undefined) return known
    const { size } = this.#roster
    const spread = size < SPREAD_MEMBERS_MIN ? 0 : Math.min(size * SPREAD_MS_PER_MEMBER, SPREAD_MS_MAX)
    const link: LinkState = {
      order: pairOrder(this.#self, id),
      dial: new Backoff(DIAL_PAUSES),
      upgrade: new Backoff(UPGRADE_PAUSES),
      dialAt: now + Math.random() * spread,
      upgradeAt: 0,
      unconnectedSince: undefined,
      relayedSince: undefined,
      busy: false
    }
    this.#links.set(id, link)
    return link
  }

  #isTurn (id: string, since: number | undefined, now: number): boolean {
    return this.#self < id || !this.#hasAddress() || (since !== undefined && now - since > TURN_MS)
  }

  #dial (member: Member, link: LinkState, now: number, signal: AbortSignal): void {
    if (now < link.dialAt || !this.#isTurn(member.id, link.unconnectedSince, now)) return
    // A peer that has just joined has no reservation yet; it announces its addresses when it has.
    if (member.here.addresses.length === 0) return
    this.#attempt(link, signal, async () => {
      try {
        await this.#reach.connect(member.id, member.here.addresses, signal)
      } finally {
        link.dialAt = clock() + link.dial.next()
      }
    })
  }

  #upgrade (member: Member, link: LinkState, now: number, signal: AbortSignal): void {
    if (now < link.upgradeAt || !this.#isTurn(member.id, link.relayedSince, now)) return
    const hints = member.here.addresses
    const webRtc = this.#reach.webRtcAddress(member.id, hints)
    const addresses = webRtc === undefined ? this.#reach.directAddresses(member.id, hints) : [webRtc]
    if (addresses.length === 0) return
    this.#attempt(link, signal, async () => {
      try {
        await this.#reach.dial(member.id, addresses, signal)
      } finally {
        link.upgradeAt = clock() + link.upgrade.next()
      }
    })
  }

  /**
   * Runs an attempt. A failure is expected here and only lengthens the pause before the next
   * attempt.
   */
  #attempt (link: LinkState, signal: AbortSignal, work: () => Promise<void>): void {
    if (link.busy || this.#dials >= DIALS_MAX) return
    link.busy = true
    this.#dials += 1
    work().catch(() => {}).finally(() => {
      link.busy = false
      this.#dials -= 1
      this.attend(signal)
    })
  }

  /**
   * Closes circuits that no stream of this package uses any more; only one of the two sides does
   * so.
   */
  #retire (id: string, connections: Connection[], direct: Connection, now: number): void {
    if (this.#self > id || now - direct.timeline.open < RETIRE_MS) return
    for (const circuit of connections.filter(isRelayed)) {
      const used = circuit.streams.some(({ protocol }) => protocol.startsWith('/peerwork/'))
      if (!used) circuit.close().catch(() => {})
    }
  }
}

/** The FNV-1a hash of both ids, the smaller id first. */
function pairOrder (a: string, b: string): number {
  let hash = 0x811c9dc5
  for (const char of a < b ? a + b : b + a) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  return hash >>> 0
}
