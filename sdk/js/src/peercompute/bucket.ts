/** `Rates` bounds the number of messages that a kernel takes from each peer. */

import { KERNEL_MESSAGES_BURST, KERNEL_MESSAGES_PER_SECOND, PEERS_MAX } from '../limits.js'

interface Bucket {
  tokens: number
  at: number
}

export class Rates {
  readonly #buckets = new Map<string, Bucket>()
  readonly #burst: number
  readonly #perSecond: number
  /** The number of messages that were dropped. */
  dropped = 0

  constructor (burst = KERNEL_MESSAGES_BURST, perSecond = KERNEL_MESSAGES_PER_SECOND) {
    this.#burst = burst
    this.#perSecond = perSecond
  }

  /** Whether one more message of a peer is within the bounds. */
  take (peer: string, now = Date.now()): boolean {
    const known = this.#buckets.get(peer) ?? { tokens: this.#burst, at: now }
    const tokens = Math.min(this.#burst, known.tokens + Math.max(0, now - known.at) * this.#perSecond / 1000)
    const taken = tokens >= 1
    if (!taken) this.dropped += 1
    // The entry moves to the end of the map, so that the peer that was silent longest is first.
    this.#buckets.delete(peer)
    this.#buckets.set(peer, { tokens: taken ? tokens - 1 : tokens, at: now })
    if (this.#buckets.size > PEERS_MAX) this.#forgetOldest()
    return taken
  }

  #forgetOldest (): void {
    for (const peer of this.#buckets.keys()) {
      this.#buckets.delete(peer)
      return
    }
  }
}
