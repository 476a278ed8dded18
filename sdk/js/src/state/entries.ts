/**
 * `Entries` is a map that replicas keep equal (a CRDT). For each key the entry with the larger
 * Lamport clock wins, and of two entries with equal clocks the entry with the larger author id.
 * With a join function, values are joined instead, and keys cannot be deleted. The map is pure
 * state, and the order in which entries arrive does not matter.
 */

import { utf8 } from '../bytes.js'
import { STATE_BYTES_MAX, STATE_KEYS_MAX } from '../limits.js'
import type { Json } from '../bytes.js'

/** The entry of one key. A deleted key keeps its entry, so that an older value cannot return. */
export interface Entry {
  key: string
  /** `undefined` when the key was deleted. */
  value: Json | undefined
  /** A Lamport clock, larger than every clock that its author had seen. */
  clock: number
  author: string
}

/** Joins two values of a key; the function must be commutative, associative and idempotent. */
export type Join = (a: Json, b: Json) => Json

/** The largest clock of a well-formed entry. */
export const CLOCK_MAX = 2 ** 48
/**
 * The distance by which the clock of an entry may be ahead of the milliseconds since 1970: one day,
 * as the clocks of machines differ. No state has a thousand writes in each second since 1970, so
 * only entries that would exhaust the clock are refused. After such an entry all writes would have
 * the same clock, and the last write of a key would not win any more.
 */
export const CLOCK_AHEAD_MAX = 86_400_000

export interface EntriesBounds {
  keysMax: number
  bytesMax: number
}

export class Entries {
  readonly #entries = new Map<string, Entry>()
  readonly #join: Join | undefined
  readonly #bounds: EntriesBounds
  readonly #now: () => number
  #clock = 0
  #bytes = 0
  #digest = 0

  constructor (
    join?: Join,
    bounds: EntriesBounds = { keysMax: STATE_KEYS_MAX, bytesMax: STATE_BYTES_MAX },
    now: () => number = Date.now
  ) {
    this.#join = join
    this.#bounds = bounds
    this.#now = now
  }

  /**
   * A digest that is equal for replicas with equal content, and very probably different for others.
   * It is not a secure hash.
   */
  get digest (): number {
    return this.#digest
  }

  get all (): Entry[] {
    return [...this.#entries.values()]
  }

  get (key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  /** Raises the clock, so that the next write of this replica is newer than an entry of `clock`. */
  see (clock: number): void {
    if (!this.#isAhead(clock)) this.#clock = Math.max(this.#clock, clock)
  }

  /** Creates the entry for a write of this replica. */
  write (key: string, value: Json | undefined, author: string): Entry {
    return { key, value, clock: Math.min(this.#clock + 1, CLOCK_MAX), author }
  }

  /** Applies an entry; an entry whose clock is far ahead changes nothing. */
  apply (entry: Entry): 'changed' | 'unchanged' | 'full' {
    if (this.#join !== undefined && entry.value === undefined) return 'unchanged'
    if (this.#isAhead(entry.clock)) return 'unchanged'
    this.see(entry.clock)
    const known = this.#entries.get(entry.key)
    const next = known === undefined ? entry : this.resolve(known, entry)
    if (known !== undefined && isSame(known, next)) return 'unchanged'
    const bytes = this.#bytes + sizeOf(next) - (known === undefined ? 0 : sizeOf(known))
    const keys = this.#entries.size + (known === undefined ? 1 : 0)
    if (bytes > this.#bounds.bytesMax || keys > this.#bounds.keysMax) return 'full'
    this.#bytes = bytes
    this.#digest = (this.#digest - (known === undefined ? 0 : hashOf(known)) + hashOf(next)) >>> 0
    this.#entries.set(entry.key, next)
    return 'changed'
  }

  /** Whether a clock is too far ahead; the next clock after those that were seen never is. */
  #isAhead (clock: number): boolean {
    return clock > Math.max(this.#clock + 1, this.#now() + CLOCK_AHEAD_MAX)
  }

  /** The entry that two entries of one key make: the newer one, or the joined one. */
  resolve (known: Entry, entry: Entry): Entry {
    // A storage may hold an entry that this replica has refused.
    if (this.#isAhead(known.clock)) return entry
    const newer = isNewer(entry, known) ? entry : known
    if (this.#join === undefined || known.value === undefined || entry.value === undefined) return newer
    return { ...newer, value: this.#join(known.value, entry.value) }
  }
}

/** Whether `a` wins over `b`. Values decide last, because one author could use one clock twice. */
export function isNewer (a: Entry, b: Entry): boolean {
  if (a.clock !== b.clock) return a.clock > b.clock
  if (a.author !== b.author) return a.author > b.author
  return textOf(a) > textOf(b)
}

export function isSame (a: Entry, b: Entry): boolean {
  return a.clock === b.clock && a.author === b.author && textOf(a) === textOf(b)
}

function textOf (entry: { value?: Json | undefined }): string {
  return entry.value === undefined ? '' : JSON.stringify(entry.value)
}

/** The part of an entry in `STATE_BYTES_MAX`. */
export function sizeOf (entry: { key: string, value?: Json | undefined }): number {
  return entry.key.length + textOf(entry).length
}

/**
 * The FNV-1a hash of all fields of an entry. The digest is the sum of the hashes, so that order
 * does not matter.
 */
function hashOf (entry: Entry): number {
  let hash = 0x811c9dc5
  for (const byte of utf8(`${entry.key}\n${entry.clock}\n${entry.author}\n${textOf(entry)}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return hash >>> 0
}
