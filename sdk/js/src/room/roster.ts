/**
 * `Roster` tracks the members that are present. It is pure state: messages and the time are inputs,
 * changes are outputs.
 */

import { PEERS_MAX } from '../limits.js'
import type { Here, PresenceMessage } from './presence-message.js'

/** A present peer. */
export interface Member {
  id: string
  here: Here
  firstSeen: number
  lastSeen: number
}

export type Change = 'join' | 'update' | 'leave' | 'none'

/** The announcement interval of a node in a small room. */
const INTERVAL_MS = 5_000
/**
 * The additional interval for each member. It limits the announcements that a node receives to
 * about 20 a second in large rooms.
 */
const INTERVAL_MS_PER_MEMBER = 50
/** The number of missed intervals after which a peer without a connection counts as gone. */
const EXPIRY_INTERVALS = 3.5
/** The time of these intervals in a small room. */
export const EXPIRY_MS = EXPIRY_INTERVALS * INTERVAL_MS
/**
 * The time after which a silent peer with a connection counts as gone; it is long, because browsers
 * slow down pages in the background.
 */
export const CONNECTED_EXPIRY_MS = 180_000
/**
 * The number of missed intervals after which a message counts although a later one came before: the
 * peer was started again, and its clock is behind the clock that it had.
 */
const RESTART_INTERVALS = 2
/** The time for which a peer may stay silent after its last connection closed. */
export const CLOSED_EXPIRY_MS = 8_000

export class Roster {
  readonly #members = new Map<string, Member & { expiresEarly?: number }>()
  readonly #max: number

  constructor (max: number = PEERS_MAX) {
    this.#max = max
  }

  get members (): Member[] {
    return [...this.#members.values()]
  }

  get size (): number {
    return this.#members.size
  }

  /**
   * The announcement interval of a node. Members see about the same number of peers, and so use
   * about the same interval.
   */
  get intervalMs (): number {
    return Math.max(INTERVAL_MS, INTERVAL_MS_PER_MEMBER * this.#members.size)
  }

  get (id: string): Member | undefined {
    return this.#members.get(id)
  }

  /**
   * Applies a message. Outdated and repeated messages, and new peers beyond the limit, change
   * nothing; an outdated message of a peer that was silent for a while counts.
   */
  apply (id: string, message: PresenceMessage, now: number): Change {
    const member = this.#members.get(id)
    if (member !== undefined && this.#isOutdated(member, message.sequence, now)) return 'none'
    if (message.kind === 'bye') return this.#members.delete(id) ? 'leave' : 'none'
    if (member === undefined && this.#members.size >= this.#max) return 'none'
    this.#members.set(id, {
      id, here: message, firstSeen: member?.firstSeen ?? now, lastSeen: now
    })
    if (member === undefined) return 'join'
    return saysTheSame(member.here, message) ? 'none' : 'update'
  }

  /** Notes that the last connection to a peer closed, so that a departed peer is removed soon. */
  closed (id: string, now: number): void {
    const member = this.#members.get(id)
    if (member !== undefined) member.expiresEarly = now + CLOSED_EXPIRY_MS
  }

  /** Removes peers that were silent for too long, and returns them. */
  expire (now: number, isConnected: (id: string) => boolean): Member[] {
    const alone = EXPIRY_INTERVALS * this.intervalMs
    const gone = this.members.filter((member) => {
      const silence = isConnected(member.id) ? CONNECTED_EXPIRY_MS : alone
      const early = isConnected(member.id) ? undefined : this.#members.get(member.id)?.expiresEarly
      return now > Math.min(member.lastSeen + silence, early ?? Number.POSITIVE_INFINITY)
    })
    for (const { id } of gone) this.#members.delete(id)
    return gone
  }

  clear (): void {
    this.#members.clear()
  }

  #isOutdated (member: Member, sequence: number, now: number): boolean {
    if (sequence === member.here.sequence) return true
    return sequence < member.here.sequence && now - member.lastSeen <= RESTART_INTERVALS * this.intervalMs
  }
}

function saysTheSame (a: Here, b: Here): boolean {
  return a.name === b.name && a.workers === b.workers &&
    JSON.stringify(a.state) === JSON.stringify(b.state)
}
