/**
 * `Guard` bounds the messages that this node takes from each peer, and ignores peers that sent
 * malformed data for a time. It is pure state: the time is an input.
 */

import { PEERS_MAX } from '../limits.js'

/** The time for which a peer that sent malformed data is ignored. */
export const MUTE_MS = 60_000

interface Bucket {
  left: number
  at: number
}

/** The bounds of a {@link Guard}. */
export interface Rate {
  /** The largest amount at once. */
  burst: number
  /** The amount that is allowed again each second. */
  perSecond: number
}

export class Guard {
  readonly #rate: Rate
  readonly #buckets = new Map<string, Bucket>()
  readonly #mutedUntil = new Map<string, number>()

  constructor (rate: Rate) {
    this.#rate = rate
  }

  /** Whether a peer may use this amount; the amount is counted if it may. */
  allows (peer: string, amount: number, now = Date.now()): boolean {
    const { burst, perSecond } = this.#rate
    const bucket = this.#buckets.get(peer) ?? { left: burst, at: now }
    const left = Math.min(burst, bucket.left + (now - bucket.at) / 1000 * perSecond)
    const isAllowed = left >= amount
    remember(this.#buckets, peer, { left: isAllowed ? left - amount : left, at: now })
    return isAllowed
  }

  /** Ignores a peer for {@link MUTE_MS}. */
  mute (peer: string, now = Date.now()): void {
    remember(this.#mutedUntil, peer, now + MUTE_MS)
  }

  isMuted (peer: string, now = Date.now()): boolean {
    return now < (this.#mutedUntil.get(peer) ?? 0)
  }
}

/** Stores a value, and forgets the oldest entry beyond the limit. */
function remember<T> (map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > PEERS_MAX && oldest !== undefined) map.delete(oldest)
}
