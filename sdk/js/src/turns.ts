/**
 * `Turns` runs one piece of work for each key at a time, such as a comparison with one peer: two at
 * once would transfer the same data twice. The peer may begin a comparison at the same moment:
 *
 *   the peer's request came before the own one was sent ─▶ the own request waits for that comparison
 *   both requests are on their way ─▶ the node with the smaller id refuses the peer's as busy, and
 *     the peer's request is sent again after the comparison that the smaller id began
 */

import { PeerworkError } from './errors.js'

/** The attempts of one piece of work, each of which another comparison of the peer may precede. */
const ATTEMPTS_MAX = 3

/** The request of a piece of work. */
export interface Turn {
  /**
   * Called right before the request is sent.
   *
   * @throws PeerworkError `peer-busy` when the peer's own work began meanwhile; the turn is then
   * repeated after it.
   */
  sends: () => void
  /** Called when the peer's answer begins: from then on the peer knows of the request. */
  answered: () => void
}

export class Turns {
  /** The work that this node began. */
  readonly #running = new Map<string, Promise<unknown>>()
  /** The work that peers began. */
  readonly #noted = new Map<string, Promise<unknown>>()
  readonly #next = new Map<string, Promise<unknown>>()
  /** The keys of the requests that were sent and are not answered. */
  readonly #asking = new Set<string>()

  /**
   * Runs work at once, or after the work that runs for the key. All calls that wait share one run,
   * that of the first of them. Work that fails as `peer-busy` because the peer's own work runs is
   * repeated after that.
   */
  async run<T> (key: string, work: (turn: Turn) => Promise<T>): Promise<T> {
    const before = this.#running.get(key) ?? this.#noted.get(key)
    if (before === undefined) return await during(this.#running, key, this.#attempts(key, work))
    const next = this.#next.get(key) ?? before.catch(() => {}).then(async () => {
      this.#next.delete(key)
      return await this.run(key, work)
    })
    this.#next.set(key, next)
    return await (next as Promise<T>)
  }

  /** Makes further work for the key wait for work that the peer began. */
  note<T> (key: string, work: Promise<T>): Promise<T> {
    return during(this.#noted, key, work)
  }

  /**
   * Whether the peer's request must be refused: this node's own request crosses it and goes first.
   * Both sides decide alike.
   */
  refuses (key: string, own: string, peer: string): boolean {
    return this.#asking.has(key) && own < peer
  }

  /** Notes the peer's work, unless the request must be refused; returns whether it was noted. */
  admits (key: string, own: string, peer: string, work: Promise<unknown>): boolean {
    if (this.refuses(key, own, peer)) return false
    this.note(key, work).catch(() => {})
    return true
  }

  async #attempts<T> (key: string, work: (turn: Turn) => Promise<T>): Promise<T> {
    const turn: Turn = {
      sends: () => {
        if (this.#noted.has(key)) throw new PeerworkError('peer-busy', 'the peer began the same meanwhile')
        this.#asking.add(key)
      },
      answered: () => { this.#asking.delete(key) }
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work(turn).finally(turn.answered)
      } catch (error) {
        const isBusy = error instanceof PeerworkError && error.code === 'peer-busy'
        const noted = this.#noted.get(key)
        if (!isBusy || noted === undefined || attempt === ATTEMPTS_MAX) throw error
        await noted.catch(() => {})
      }
    }
  }
}

/** Keeps work in a map while it runs. */
function during<T> (map: Map<string, Promise<unknown>>, key: string, work: Promise<T>): Promise<T> {
  const over = work.finally(() => {
    if (map.get(key) === over) map.delete(key)
  })
  map.set(key, over)
  return over
}
