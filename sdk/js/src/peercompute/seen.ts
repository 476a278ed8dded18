/** `Seen` remembers the ids of events by peer, so that each event is delivered once. */

import { EVENTS_SEEN_MAX } from '../limits.js'

export class Seen {
  /** The ids of each peer, the oldest first. */
  readonly #byPeer = new Map<string, Set<string>>()
  #size = 0

  /**
   * Remembers an event, and returns whether it is new. Beyond `EVENTS_SEEN_MAX` the oldest event of
   * the peer with the most events is forgotten, so that no peer makes this node forget the events
   * of others.
   */
  add (peer: string, id: string): boolean {
    const ids = this.#byPeer.get(peer) ?? new Set()
    if (ids.has(id)) return false
    this.#byPeer.set(peer, ids.add(id))
    this.#size += 1
    if (this.#size > EVENTS_SEEN_MAX) this.#forget()
    return true
  }

  #forget (): void {
    let largest: [string, Set<string>] | undefined
    for (const entry of this.#byPeer) if (entry[1].size > (largest?.[1].size ?? 0)) largest = entry
    if (largest === undefined) return
    const [peer, ids] = largest
    for (const oldest of ids) {
      ids.delete(oldest)
      break
    }
    if (ids.size === 0) this.#byPeer.delete(peer)
    this.#size -= 1
  }
}
