/**
 * `Rates` bounds the number of messages that this node takes from each peer, with one token bucket
 * for each peer. It is pure state: the time is an input.
 */

import { PEERS_MAX } from './limits.js'
import { remember } from './recent.js'

/** The bounds of a {@link Rates}. */
export interface Rate {
  /** The largest number of messages at once. */
  burst: number
  /** The number of messages that is allowed again each second. */
  perSecond: number
}

interface Bucket {
  left: number
  at: number
}

export class Rates {
  readonly #rate: Rate
  readonly #buckets = new Map<string, Bucket>()
  #dropped = 0

  constructor (rate: Rate) {
    this.#rate = rate
  }

  /** The number of messages that were out of bounds. */
  get dropped (): number {
    return this.#dropped
  }

  /** Whether one more message of a peer is within the bounds; the message is counted if it is. */
  take (peer: string, now = Date.now()): boolean {
    const { burst, perSecond } = this.#rate
    const bucket = this.#buckets.get(peer) ?? { left: burst, at: now }
    // The clock of the machine may have been set back.
    const seconds = Math.max(0, now - bucket.at) / 1000
    const left = Math.min(burst, bucket.left + seconds * perSecond)
    const taken = left >= 1
    if (!taken) this.#dropped += 1
    remember(this.#buckets, peer, { left: taken ? left - 1 : left, at: now }, PEERS_MAX)
    return taken
  }
}
