/**
 * `ReliableEvents` holds events until every present peer has acknowledged them, or until they were
 * sent a limited number of times.
 */

import { EVENTS_QUEUED_MAX, PEERS_MAX } from '../limits.js'
import type { Json } from '../bytes.js'

/** An event that waits to be sent. */
export interface QueuedEvent {
  id: string
  payload: Json
  /** The size of its JSON. */
  bytes: number
  /** The only peer that gets the event; `undefined` for all peers. */
  target: string | undefined
}

interface Pending extends QueuedEvent {
  retryMs: number
  attempts: number
  dueAt: number
  acked: Set<string>
}

/** An event that is due, with the peers that have not acknowledged it. */
export interface DueEvent extends QueuedEvent {
  /** The number of times that it was sent before. */
  attempts: number
  missing: string[]
}

export interface ReliabilityStats {
  /** The number of times that events were sent. */
  sent: number
  /** Events that all present peers acknowledged. */
  acked: number
  /** Events that were given up. */
  dropped: number
  /** Events that still wait. */
  pending: number
  retryMs: number
  retryMax: number
}

export class ReliableEvents {
  readonly #pending = new Map<string, Pending>()
  #sent = 0
  #acked = 0
  #dropped = 0

  get size (): number {
    return this.#pending.size
  }

  /** Adds an event, unless an event with its id waits already. The oldest makes room. */
  add (event: QueuedEvent, retryMs: number): void {
    if (this.#pending.has(event.id)) return
    if (this.#pending.size >= EVENTS_QUEUED_MAX) {
      for (const id of this.#pending.keys()) {
        this.#drop(id)
        break
      }
    }
    this.#pending.set(event.id, { ...event, retryMs, attempts: 0, dueAt: 0, acked: new Set() })
  }

  /** Notes the acknowledgement of a peer; the next call of {@link due} sees which events are over. */
  ack (peer: string, ids: readonly string[]): void {
    for (const id of ids) {
      const event = this.#pending.get(id)
      if (event === undefined || event.attempts === 0) continue
      if (event.acked.size < PEERS_MAX && (event.target === undefined || event.target === peer)) event.acked.add(peer)
    }
  }

  /** Removes the events that are over, and lists at most `count` of those to be sent. */
  due (now: number, present: readonly string[], retryMax: number, count: number): DueEvent[] {
    const due: DueEvent[] = []
    for (const event of this.#pending.values()) {
      const without = missing(event, present)
      if (event.acked.size > 0 && without.length === 0) {
        this.#pending.delete(event.id)
        this.#acked += 1
      } else if (now >= event.dueAt && event.attempts >= retryMax) {
        this.#drop(event.id)
      } else if (now >= event.dueAt && due.length < count) {
        due.push({ ...event, missing: without })
      }
    }
    return due
  }

  /** Notes that an event was sent. */
  sent (id: string, now: number): void {
    const event = this.#pending.get(id)
    if (event === undefined) return
    event.dueAt = now + event.retryMs * 2 ** event.attempts
    event.attempts += 1
    this.#sent += 1
  }

  stats (retryMs: number, retryMax: number): ReliabilityStats {
    return { sent: this.#sent, acked: this.#acked, dropped: this.#dropped, pending: this.#pending.size, retryMs, retryMax }
  }

  #drop (id: string): void {
    if (this.#pending.delete(id)) this.#dropped += 1
  }
}

function missing (event: Pending, present: readonly string[]): string[] {
  const wanted = event.target === undefined ? present : [event.target]
  return wanted.filter((peer) => !event.acked.has(peer))
}
