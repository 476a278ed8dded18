/**
 * `Comparer` decides when a Yjs document is compared, and with which peers: at the start, with peers
 * that came or of which updates are missing, and with one peer at an interval.
 */

import { PeerworkError } from '../errors.js'
import { shuffled } from '../shuffled.js'
import { PEERS_MAX } from '../limits.js'
import { Backoff, clock, wait } from '../time.js'
import type { Comparison } from './exchange.js'

/** The number of peers that a document is compared with at the start. */
const NEWCOMER_ASKS = 3
/** About this number of peers compare with a peer that came. */
const JOIN_ASKS = 4
/** The number of peers that a node compares with after a relay was connected again. */
const RETURN_ASKS = 2
/** The comparisons at once. */
const ASKS_MAX = 4
/** The delay before a comparison, so that several reasons cause one comparison. */
const DELAY_MS = 400
/** The interval at which the document is compared with one peer, because gossip may lose updates. */
const REPAIR_MS = 30_000
/** The time that peers with the document have to answer before the others count as all. */
const ALONE_MS = 1_500
const PAUSES = { minMs: 1_000, maxMs: 15_000 }
/** The attempts to compare with one peer before the interval takes over. */
const ATTEMPTS_MAX = 6

/** The functions of the provider that the comparer uses. */
export interface ComparerPeers {
  /** The present peers. */
  present: () => string[]
  /** The present peers that are known to have the document. */
  holders: () => string[]
  compare: (peer: string) => Promise<Comparison>
  /** Called when the first comparison is over, and when no peer was found or reached. */
  onBegun: (result: { isSynced: boolean, vector?: Uint8Array | undefined }) => void
  /** Called at the interval. */
  onInterval: () => void
}

export class Comparer {
  readonly #peers: ComparerPeers
  /** The peers to compare with, and the number of failed attempts. */
  readonly #wanted = new Map<string, number>()
  readonly #busy = new Set<string>()
  readonly #stopped = new AbortController()
  readonly #backoff = new Backoff(PAUSES)
  #timer: ReturnType<typeof setTimeout> | undefined
  #beginning: AbortController | undefined
  readonly #interval: ReturnType<typeof setInterval>

  constructor (peers: ComparerPeers) {
    this.#peers = peers
    this.#interval = setInterval(() => {
      peers.onInterval()
      this.#wantSome(1)
    }, REPAIR_MS)
  }

  stop (): void {
    this.#stopped.abort()
    clearInterval(this.#interval)
    clearTimeout(this.#timer)
    this.#wanted.clear()
  }

  /** Runs comparisons until one succeeds, or no peer has the document. */
  async begin (): Promise<void> {
    this.#beginning?.abort()
    const beginning = new AbortController()
    this.#beginning = beginning
    try {
      await this.#begin(AbortSignal.any([this.#stopped.signal, beginning.signal]))
    } catch {
      // The provider stops, or is offline.
    }
  }

  /** Ends {@link Comparer.begin}, because no peer can be reached. */
  pause (): void {
    this.#beginning?.abort()
    this.#wanted.clear()
  }

  /** Compares with a peer soon. */
  want (peer: string): void {
    if (this.#stopped.signal.aborted || this.#wanted.size >= PEERS_MAX) return
    this.#wanted.set(peer, 0)
    this.#soon(DELAY_MS * (0.5 + Math.random()))
  }

  /** Compares with a peer that came; of many peers only about {@link JOIN_ASKS} do so. */
  wantNew (peer: string): void {
    if (Math.random() * this.#peers.present().length < JOIN_ASKS) this.want(peer)
  }

  /** Compares with some peers after a relay was connected again. */
  wantReturned (): void {
    this.#wantSome(RETURN_ASKS)
  }

  #wantSome (count: number): void {
    for (const peer of shuffled(this.#peers.holders()).slice(0, count)) this.want(peer)
  }

  async #begin (signal: AbortSignal): Promise<void> {
    const began = clock()
    const backoff = new Backoff(PAUSES)
    for (;;) {
      const holders = this.#peers.holders()
      const asked = shuffled(holders.length > 0 ? holders : this.#peers.present()).slice(0, NEWCOMER_ASKS)
      const results = await Promise.all(asked.map(async (peer) => await this.#peers.compare(peer).catch(() => undefined)))
      signal.throwIfAborted()
      const done = results.find((result) => result?.known === true)
      if (done !== undefined) return this.#peers.onBegun({ isSynced: true, vector: done.vector })
      const isAlone = results.every((result) => result !== undefined) && this.#peers.holders().length === 0
      if (isAlone && clock() - began >= ALONE_MS) return this.#peers.onBegun({ isSynced: true })
      if (!isAlone && asked.length > 0) this.#peers.onBegun({ isSynced: false })
      await wait(isAlone ? ALONE_MS / 5 : backoff.next(), signal)
    }
  }

  #soon (ms: number): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#work()
    }, ms)
  }

  #work (): void {
    const present = new Set(this.#peers.present())
    for (const [peer, failures] of this.#wanted) {
      if (this.#busy.size >= ASKS_MAX) return
      if (this.#busy.has(peer)) continue
      this.#wanted.delete(peer)
      if (present.has(peer)) void this.#compare(peer, failures)
    }
  }

  async #compare (peer: string, failures: number): Promise<void> {
    this.#busy.add(peer)
    try {
      await this.#peers.compare(peer)
      this.#backoff.reset()
    } catch (error) {
      const again = !(error instanceof PeerworkError) || error.retryable
      if (again && failures + 1 < ATTEMPTS_MAX && !this.#stopped.signal.aborted) {
        if (!this.#wanted.has(peer)) this.#wanted.set(peer, failures + 1)
      }
    } finally {
      this.#busy.delete(peer)
      if (this.#wanted.size > 0 && !this.#stopped.signal.aborted) {
        this.#soon(Math.max(...this.#wanted.values()) > 0 ? this.#backoff.next() : DELAY_MS)
      }
    }
  }
}
