/**
 * `Guard` bounds the messages that a provider takes from each peer, and ignores peers that sent
 * malformed data for a time. It is pure state: the time is an input.
 */

import { PEERS_MAX } from '../limits.js'
import { Rates } from '../rates.js'
import { remember } from '../recent.js'
import type { Rate } from '../rates.js'

/** The time for which a peer that sent malformed data is ignored. */
export const MUTE_MS = 60_000

export class Guard {
  readonly #rates: Rates
  /** The times at which peers were muted. */
  readonly #muted = new Map<string, number>()

  constructor (rate: Rate) {
    this.#rates = new Rates(rate)
  }

  /** Whether one more message of a peer is within the bounds; the message is counted if it is. */
  allows (peer: string, now = Date.now()): boolean {
    return this.#rates.take(peer, now)
  }

  /** Ignores a peer for {@link MUTE_MS}. */
  mute (peer: string, now = Date.now()): void {
    remember(this.#muted, peer, now, PEERS_MAX)
  }

  isMuted (peer: string, now = Date.now()): boolean {
    const since = this.#muted.get(peer)
    // The clock of the machine may have been set back.
    return since !== undefined && Math.abs(now - since) < MUTE_MS
  }
}
