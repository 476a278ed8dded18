/**
 * Keeps this node connected to the members of its room, and moves connections off the relays.
 *
 * Of two peers the one with the smaller id dials; the other only when it cannot be dialled itself, or
 * when nothing came for a while. A peer that is reached over a circuit is then dialled directly (WebRTC
 * between pages, TCP or WebSocket between Node.js processes), and the circuit given back.
 */

import { Backoff } from '../time.js'
import { isRelayed } from './connections.js'
import type { Reach } from './reach.js'
import type { Roster, Member } from '../room/roster.js'
import type { Connection } from '@libp2p/interface'

/**
 * Peers that are dialled without being asked; the others are reached by gossip and on demand. Rooms of
 * up to 17 are connected each with each.
 */
const NEIGHBOURS_MAX = 16
/**
 * In larger rooms the first dials to a newcomer are spread over this time for each member: relays hand
 * on a few circuits at once to one node (libp2p's: ten) and drop the others without a word.
 */
const SPREAD_MS_PER_MEMBER = 25
const SPREAD_MS_MAX = 2_000
const SPREAD_MEMBERS_MIN = 9
/** Dials under way at once. */
const DIALS_MAX = 4
/** How long the peer whose turn it is may take before the other one dials too. */
const TURN_MS = 8_000
const DIAL_PAUSES = { minMs: 1_000, maxMs: 60_000 }
/** Where direct connections are impossible this must not become a burden. */
const UPGRADE_PAUSES = { minMs: 2_000, maxMs: 300_000 }
/** A circuit is given back when a direct connection has lasted this long. */
const RETIRE_MS = 5_000

interface Care {
  /** The place of this pair among all; the same at both ends, and otherwise by chance. */
  order: number
  dial: Backoff
  upgrade: Backoff
  /** When the next attempt may begin. */
  dialAt: number
  upgradeAt: number
  /** Since when there has been no connection, or no direct one. */
  lonelySince: number | undefined
  relayedSince: number | undefined
  busy: boolean
}

export class Mesh {
  readonly #self: string
  readonly #reach: Reach
  readonly #roster: Roster
  readonly #hasAddress: () => boolean
  readonly #cares = new Map<string, Care>()
  #dials = 0

  /** @param hasAddress whether others can dial this node */
  constructor (self: string, reach: Reach, roster: Roster, hasAddress: () => boolean) {
    this.#self = self
    this.#reach = reach
    this.#roster = roster
    this.#hasAddress = hasAddress
  }

  /** Looks at every member once; called when something changed and once a second. */
  attend (signal: AbortSignal, now = Date.now()): void {
    const members = this.#membersInOrder(now)
    for (const id of this.#cares.keys()) {
      if (this.#roster.get(id) === undefined) this.#cares.delete(id)
    }
    let neighbours = members.filter(({ id }) => this.#reach.open(id).length > 0).length
    for (const member of members) {
      if (signal.aborted) return
      const care = this.#careOf(member.id, now)
      const connections = this.#reach.open(member.id)
      const direct = connections.find((connection) => !isRelayed(connection))
      care.lonelySince = connections.length === 0 ? care.lonelySince ?? now : undefined
      care.relayedSince = connections.length > 0 && direct === undefined ? care.relayedSince ?? now : undefined
      if (direct !== undefined) {
        care.upgrade.reset()
        this.#retire(member.id, connections, direct, now)
      } else if (connections.length > 0) {
        care.dial.reset()
        this.#upgrade(member, care, now, signal)
      } else if (neighbours < NEIGHBOURS_MAX) {
        neighbours += 1
        this.#dial(member, care, now, signal)
      }
    }
  }

  /** New addresses, or a relay that is back: nothing that failed before need fail again. */
  forget (id?: string): void {
    const cares = id === undefined ? [...this.#cares.values()] : [this.#cares.get(id)]
    for (const care of cares) {
      if (care === undefined) continue
      if (care.dial.failures > 0) care.dialAt = 0
      care.dial.reset()
    }
  }

  /** All nodes choose their neighbours by the same order of pairs, so that nobody is chosen by all. */
  #membersInOrder (now: number): Member[] {
    const order = (member: Member): number => this.#careOf(member.id, now).order
    return this.#roster.members.sort((a, b) => order(a) - order(b))
  }

  #careOf (id: string, now: number): Care {
    const known = this.#cares.get(id)
    if (known !== undefined) return known
    const { size } = this.#roster
    const spread = size < SPREAD_MEMBERS_MIN ? 0 : Math.min(size * SPREAD_MS_PER_MEMBER, SPREAD_MS_MAX)
    const care: Care = {
      order: pairOrder(this.#self, id),
      dial: new Backoff(DIAL_PAUSES),
      upgrade: new Backoff(UPGRADE_PAUSES),
      dialAt: now + Math.random() * spread,
      upgradeAt: 0,
      lonelySince: undefined,
      relayedSince: undefined,
      busy: false
    }
    this.#cares.set(id, care)
    return care
  }

  #isTurn (id: string, since: number | undefined, now: number): boolean {
    return this.#self < id || !this.#hasAddress() || (since !== undefined && now - since > TURN_MS)
  }

  #dial (member: Member, care: Care, now: number, signal: AbortSignal): void {
    if (now < care.dialAt || !this.#isTurn(member.id, care.lonelySince, now)) return
    // A peer that has just come has no place at a relay yet; it will say when it has.
    if (member.here.addresses.length === 0) return
    this.#attempt(care, signal, async () => {
      try {
        await this.#reach.connect(member.id, member.here.addresses, signal)
      } finally {
        care.dialAt = Date.now() + care.dial.next()
      }
    })
  }

  #upgrade (member: Member, care: Care, now: number, signal: AbortSignal): void {
    if (now < care.upgradeAt || !this.#isTurn(member.id, care.relayedSince, now)) return
    const hints = member.here.addresses
    const webRtc = this.#reach.webRtcAddress(member.id, hints)
    const addresses = webRtc === undefined ? this.#reach.directAddresses(member.id, hints) : [webRtc]
    if (addresses.length === 0) return
    this.#attempt(care, signal, async () => {
      try {
        await this.#reach.dial(member.id, addresses, signal)
      } finally {
        care.upgradeAt = Date.now() + care.upgrade.next()
      }
    })
  }

  /** Failures are expected here, and the pauses are the answer to them. */
  #attempt (care: Care, signal: AbortSignal, work: () => Promise<void>): void {
    if (care.busy || this.#dials >= DIALS_MAX) return
    care.busy = true
    this.#dials += 1
    work().catch(() => {}).finally(() => {
      care.busy = false
      this.#dials -= 1
      this.attend(signal)
    })
  }

  /** Closes circuits that nothing of this package uses any more; one side does it. */
  #retire (id: string, connections: Connection[], direct: Connection, now: number): void {
    if (this.#self > id || now - direct.timeline.open < RETIRE_MS) return
    for (const circuit of connections.filter(isRelayed)) {
      const used = circuit.streams.some(({ protocol }) => protocol.startsWith('/peerwork/'))
      if (!used) circuit.close().catch(() => {})
    }
  }
}

/** FNV-1a over both ids, the smaller one first. */
function pairOrder (a: string, b: string): number {
  let hash = 0x811c9dc5
  for (const char of a < b ? a + b : b + a) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  return hash >>> 0
}
