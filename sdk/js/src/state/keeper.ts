/**
 * `Keeper` keeps one shared state in a storage: loads it once, saves the keys that changed, and
 * tries again after failures.
 */

import { PeerworkError, messageOf } from '../errors.js'
import { Backoff, clock, withDeadline } from '../time.js'
import { parseRecord, parseRecords, recordOf } from './storage.js'
import type { Entry } from './entries.js'
import type { ResolveRecords, StateRecord, StateStorage } from './storage.js'

/** The time for one call of the storage. */
const CALL_DEADLINE_MS = 10_000
/** The time between two saves of one state, so that many small changes cause few writes. */
const PAUSE_MS = 100
const BACKOFF = { minMs: 1_000, maxMs: 60_000 }

/** The functions of a state that its keeper uses. */
export interface Kept {
  /** Applies the stored entries. */
  restore: (entries: Entry[]) => void
  entry: (key: string) => Entry | undefined
  resolve: (stored: Entry, given: Entry) => Entry
}

/** The storage of one state. */
export interface Place {
  storage: StateStorage
  /** The name of the state in the storage. */
  state: string
  /** Resolves when an earlier state of this name has written its last changes. */
  after?: Promise<unknown> | undefined
  /** Called once for a row of failures, with the first one. */
  onTrouble: (error: PeerworkError) => void
}

export class Keeper {
  readonly #place: Place
  readonly #kept: Kept
  readonly #dirty = new Set<string>()
  readonly #backoff = new Backoff(BACKOFF)
  readonly #started: Promise<void>
  #loaded = false
  #running: Promise<void> | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #lastSave = 0
  /** The time until the next attempt after a failure. */
  #pause = 0
  #finished: Promise<void> | undefined

  constructor (place: Place, kept: Kept) {
    this.#place = place
    this.#kept = kept
    this.#started = this.#attempt().catch(() => {})
  }

  /** Whether the stored entries are part of the state. */
  get loaded (): boolean {
    return this.#loaded
  }

  /** Resolves when the first attempt to load is over. Never rejects. */
  get started (): Promise<void> {
    return this.#started
  }

  /** Marks a key whose entry changed. */
  mark (key: string): void {
    this.#dirty.add(key)
    this.#later(Math.max(0, this.#lastSave + PAUSE_MS - clock()))
  }

  /** Saves all changes so far; rejects with the failure of the storage. */
  async saved (): Promise<void> {
    await this.#started
    // The attempt that is under way may have begun before the last change.
    await this.#running?.catch(() => {})
    await this.#attempt()
  }

  /** Saves at once, for a page that is about to end. */
  hurry (): void {
    if (this.#dirty.size > 0) this.#attempt().catch(() => {})
  }

  /** Saves the last changes and ends all attempts. Never rejects. */
  async finish (): Promise<void> {
    this.#finished ??= this.saved().catch(() => {}).finally(() => { this.#cancel() })
    await this.#finished
  }

  #cancel (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #later (ms: number): void {
    if (this.#timer !== undefined || this.#running !== undefined || this.#finished !== undefined) return
    this.#timer = setTimeout(() => { this.#attempt().catch(() => {}) }, ms)
  }

  /** Loads if that is not done yet, and saves the changed keys; one attempt at a time. */
  async #attempt (): Promise<void> {
    this.#cancel()
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined
      const retry = this.#backoff.failures > 0
      if (!this.#loaded || this.#dirty.size > 0) this.#later(retry ? this.#pause : PAUSE_MS)
    })
    await this.#running
  }

  async #work (): Promise<void> {
    try {
      if (!this.#loaded) await this.#load()
      if (this.#dirty.size > 0) await this.#save()
      this.#backoff.reset()
    } catch (cause) {
      const error = cause instanceof PeerworkError && cause.code === 'storage-failed'
        ? cause
        : new PeerworkError('storage-failed', `the storage failed: ${messageOf(cause)}`, { cause })
      const first = this.#backoff.failures === 0
      this.#pause = this.#backoff.next()
      if (first) this.#place.onTrouble(error)
      throw error
    }
  }

  async #load (): Promise<void> {
    const { storage, state, after } = this.#place
    await after
    const records = await withDeadline({ ms: CALL_DEADLINE_MS, late }, async () => await storage.load(state))
    const entries = parseRecords(records)
    this.#loaded = true
    this.#kept.restore(entries)
  }

  async #save (): Promise<void> {
    const { storage, state } = this.#place
    const keys = [...this.#dirty]
    this.#dirty.clear()
    this.#lastSave = clock()
    const records = keys.flatMap((key): StateRecord[] => {
      const entry = this.#kept.entry(key)
      return entry === undefined ? [] : [recordOf(entry)]
    })
    try {
      await withDeadline({ ms: CALL_DEADLINE_MS, late }, async () => { await storage.save(state, records, this.#resolve) })
    } catch (error) {
      for (const key of keys) this.#dirty.add(key)
      throw error
    }
  }

  readonly #resolve: ResolveRecords = (stored, given) => {
    const [known, entry] = [parseRecord(stored), parseRecord(given)]
    if (known === undefined || entry === undefined || known.key !== entry.key) return given
    try {
      return recordOf(this.#kept.resolve(known, entry))
    } catch {
      // The application's `merge` does not take the stored value.
      return given
    }
  }
}

function late (): PeerworkError {
  return new PeerworkError('storage-failed', `the storage did not answer in ${CALL_DEADLINE_MS} ms`)
}
