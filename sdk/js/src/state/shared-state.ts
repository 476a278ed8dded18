/** One shared state of a room, as an application uses it. */

import { PeerworkError } from '../errors.js'
import { Emitter } from '../events.js'
import { STATE_KEY_CHARS_MAX } from '../limits.js'
import { Entries } from './entries.js'
import { encodeUpdates, fitsAsValue, parseUpdate } from './wire.js'
import type { Entry, Join } from './entries.js'
import type { Replica } from './exchange.js'
import type { Json } from '../bytes.js'
import type { Topics } from '../room/topics.js'

/** How a shared state begins and how it settles conflicts. */
export interface StateOptions<T extends Json> {
  /** Values of keys that nobody has written; every peer gives the same ones. */
  initial?: Record<string, T>
  /**
   * Joins the values that two peers wrote to one key, in place of the last write winning. It must be
   * commutative, associative and idempotent (like `Math.max` or a union of sets), and every peer
   * gives the same one. A state with `merge` has no `delete`.
   */
  merge?: (a: T, b: T) => T
}

/** A key that changed. `value` is `undefined` when it was deleted. */
export interface StateChange<T extends Json> {
  key: string
  value: T | undefined
  /** The id of the peer that wrote it. */
  author: string
}

interface Events<T extends Json> {
  change: StateChange<T>
}

/** How long an update waits for somebody who takes it, before it is kept for later. */
const PATIENCE_MS = 2_000

/**
 * A small map that all peers of a room see alike. Any peer may write any key; the last write of a
 * key wins (Lamport clock, then peer id). What was written before a peer came, it gets from the
 * peers that are present; what was written while a peer was cut off is told when it is back.
 *
 * Bounds: 10 000 keys (deleted ones count), 256 characters a key, 64 KiB of JSON a value, 8 MiB in
 * all.
 */
export class SharedState<T extends Json = Json> {
  readonly name: string
  readonly #entries: Entries
  readonly #initial: Record<string, T>
  readonly #joins: boolean
  readonly #self: string
  readonly #topics: Topics
  readonly #topic: string
  readonly #emitter = new Emitter<Events<T>>()
  readonly #unhear: () => void
  /** Keys written here that nobody has taken yet. */
  readonly #unsent = new Set<string>()
  #sending = false
  #closed = false
  #onReady: () => void = () => {}
  /**
   * Resolves when the state was compared with a present peer, or when nobody with this state was
   * found for a moment. Never rejects.
   */
  readonly ready: Promise<void>

  /** Applications call `node.state()`. */
  constructor (name: string, options: StateOptions<T>, self: string, topics: Topics, topic: string) {
    this.name = name
    this.#entries = new Entries(options.merge as Join | undefined)
    this.#initial = { ...options.initial }
    this.#joins = options.merge !== undefined
    this.#self = self
    this.#topics = topics
    this.#topic = topic
    this.ready = new Promise((resolve) => { this.#onReady = resolve })
    this.#unhear = topics.hear(
      topic,
      ({ from, data }) => parseUpdate(data, from) !== undefined,
      ({ from, data }) => { this.#take(parseUpdate(data, from) ?? []) }
    )
  }

  /** The value of a key. */
  get (key: string): T | undefined {
    const entry = this.#entries.get(key)
    return entry === undefined ? this.#initial[key] : entry.value as T | undefined
  }

  /** All keys with a value, unordered. */
  keys (): string[] {
    const written = this.#entries.all
    const keys = new Set(Object.keys(this.#initial))
    for (const { key, value } of written) {
      if (value === undefined) keys.delete(key)
      else keys.add(key)
    }
    return [...keys]
  }

  /** A copy of the whole state. */
  toObject (): Record<string, T> {
    return Object.fromEntries(this.keys().map((key) => [key, this.get(key) as T]))
  }

  /**
   * Writes a key. It is seen here at once and sent to the others; while nobody can be reached it is
   * kept and sent later.
   *
   * @throws PeerworkError `invalid-argument` or `too-large` for a key or value out of bounds,
   * `state-full` beyond the bounds of the whole, `left` after `close()`.
   */
  set (key: string, value: T): void {
    if (!fitsAsValue(value)) {
      throw new PeerworkError('too-large', `the value of "${key}" is no JSON of at most 64 KiB`)
    }
    this.#write(key, structuredClone(value))
  }

  /**
   * Deletes a key.
   *
   * @throws PeerworkError `invalid-argument` in a state with `merge`, and as {@link SharedState.set}.
   */
  delete (key: string): void {
    if (this.#joins) {
      throw new PeerworkError('invalid-argument', 'a state with merge cannot delete')
    }
    this.#write(key, undefined)
  }

  /** Calls `listener` at every change, of this peer's own making too, until the returned function is called. */
  onChange (listener: (change: StateChange<T>) => void): () => void {
    return this.#emitter.on('change', listener)
  }

  /** Stops following the state. */
  close (): void {
    this.#closed = true
    this.#unhear()
    this.#emitter.clear()
    this.#onReady()
  }

  /** For this package's own use: the exchange with other peers. */
  get replica (): Replica {
    const entries = this.#entries
    return {
      get digest () { return entries.digest },
      get all () { return entries.all },
      take: (more) => { this.#take(more) }
    }
  }

  /** Whether `close()` was called. */
  get closed (): boolean {
    return this.#closed
  }

  /** For this package's own use: the first comparison is over. */
  becomeReady (): void {
    this.#onReady()
  }

  #write (key: string, value: Json | undefined): void {
    if (this.#closed) throw new PeerworkError('left', `the state "${this.name}" is closed`)
    if (typeof key !== 'string' || key.length > STATE_KEY_CHARS_MAX || !key.isWellFormed()) {
      throw new PeerworkError('invalid-argument', `a key has at most ${STATE_KEY_CHARS_MAX} characters`)
    }
    const entry = this.#entries.write(key, value, this.#self)
    if (this.#entries.apply(entry) === 'full') {
      throw new PeerworkError('state-full', `the state "${this.name}" is full`)
    }
    this.#unsent.add(key)
    this.#tellChange(key)
    this.flush()
  }

  #take (entries: Entry[]): void {
    for (const entry of entries) {
      if (this.#entries.apply(entry) === 'changed') this.#tellChange(entry.key)
    }
  }

  #tellChange (key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#emitter.emit('change', { key, value: entry.value as T | undefined, author: entry.author })
  }

  /** For this package's own use: sends what nobody has taken yet. Writes of one turn go together. */
  flush (): void {
    if (this.#sending || this.#closed || this.#unsent.size === 0) return
    this.#sending = true
    queueMicrotask(() => {
      this.#send().catch(() => {}).finally(() => { this.#sending = false })
    })
  }

  async #send (): Promise<void> {
    while (this.#unsent.size > 0 && !this.#closed) {
      const keys = [...this.#unsent]
      this.#unsent.clear()
      if (!await this.#publish(keys.flatMap((key) => this.#ownEntry(key) ?? []))) {
        for (const key of keys) this.#unsent.add(key)
        return
      }
    }
  }

  /**
   * The entry of a key that was written here. One that somebody else has written since is that
   * peer's to send; but a value joined from both is known here only, and becomes a write of its own.
   */
  #ownEntry (key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.author === this.#self) return entry
    if (!this.#joins) return undefined
    const own = this.#entries.write(key, entry.value, this.#self)
    return this.#entries.apply(own) === 'full' ? undefined : own
  }

  async #publish (entries: Entry[]): Promise<boolean> {
    try {
      for (const message of encodeUpdates(entries)) {
        if (await this.#topics.publish(this.#topic, message, PATIENCE_MS) === 0) return false
      }
      return true
    } catch {
      return false
    }
  }
}
