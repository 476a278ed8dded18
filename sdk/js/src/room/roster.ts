/** Who is present. Pure: messages and the time go in, changes come out. */

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

/** How often a node of a small room says that it is present. */
const INTERVAL_MS = 5_000
/** In large rooms nodes speak less often, so that nobody hears more than 20 of them a second. */
const INTERVAL_MS_PER_MEMBER = 50
/** Intervals of silence after which a peer without a connection counts as gone. */
const EXPIRY_INTERVALS = 3.5
/** That silence in a small room. */
export const EXPIRY_MS = EXPIRY_INTERVALS * INTERVAL_MS
/** The same for a connected peer; a page in the background is slow to speak. */
export const CONNECTED_EXPIRY_MS = 180_000
/** Silence that is still allowed to a peer whose last connection has just closed. */
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

  /** How often a node says that it is present; members see about the same room, and so agree on it. */
  get intervalMs (): number {
    return Math.max(INTERVAL_MS, INTERVAL_MS_PER_MEMBER * this.#members.size)
  }

  get (id: string): Member | undefined {
    return this.#members.get(id)
  }

  /** Takes a message in. Old and repeated ones, and new peers beyond the bound, change nothing. */
  apply (id: string, message: PresenceMessage, now: number): Change {
    const member = this.#members.get(id)
    if (member !== undefined && message.sequence <= member.here.sequence) return 'none'
    if (message.kind === 'bye') return this.#members.delete(id) ? 'leave' : 'none'
    if (member === undefined && this.#members.size >= this.#max) return 'none'
    this.#members.set(id, {
      id, here: message, firstSeen: member?.firstSeen ?? now, lastSeen: now
    })
    if (member === undefined) return 'join'
    return saysTheSame(member.here, message) ? 'none' : 'update'
  }

  /** The last connection to a peer closed: if it is gone, that shall show soon. */
  closed (id: string, now: number): void {
    const member = this.#members.get(id)
    if (member !== undefined) member.expiresEarly = now + CLOSED_EXPIRY_MS
  }

  /** Removes who was silent for too long, and returns them. */
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
}

function saysTheSame (a: Here, b: Here): boolean {
  return a.name === b.name && a.workers === b.workers &&
    JSON.stringify(a.state) === JSON.stringify(b.state)
}
