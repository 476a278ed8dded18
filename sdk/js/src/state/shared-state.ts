/** `SharedState` is one shared state of a room, as applications use it. */

import { PeerworkError } from '../errors.js'
import { Emitter } from '../events.js'
import { STATE_KEY_CHARS_MAX } from '../limits.js'
import { Entries, isSame } from './entries.js'
import { Keeper } from './keeper.js'
import { encodeUpdates, fitsAsValue, parseUpdate } from './wire.js'
import type { Entry, Join } from './entries.js'
import type { Replica } from './exchange.js'
import type { Place } from './keeper.js'
import type { Json } from '../bytes.js'
import type { Topics } from '../room/topics.js'

/** The initial values of a shared state, and its rule for conflicts. */
export interface StateOptions<T extends Json> {
  /** The values of keys that no peer has written; every peer must give the same values. */
  initial?: Record<string, T>
  /**
   * Joins the values that two peers wrote to one key; without this function the last write wins.
   * The function must be commutative, associative and idempotent (like `Math.max` or a union of
   * sets), and every peer must give the same function. A state with `merge` has no `delete`.
   */
  merge?: (a: T, b: T) => T
  /** Whether the state is stored; default: true if the node joined with `persist`. */
  persist?: boolean
}

/**
 * The parts of the node that a state uses.
 *
 * @internal
 */
export interface StateSettings {
  /** The id of this peer. */
  self: string
  topics: Topics
  topic: string
  /** The place where the state is stored, if it is. */
  place?: Place | undefined
}

/** A changed key. `value` is `undefined` when the key was deleted. */
export interface StateChange<T extends Json> {
  key: string
  value: T | undefined
  /** The id of the peer that wrote the key. */
  author: string
}

interface Events<T extends Json> {
  change: StateChange<T>
}

/** The time that an update waits for a subscriber, before it is kept for later. */
const PATIENCE_MS = 2_000

/**
 * A small map that is replicated to all peers of a room. Any peer may write any key, and the last
 * write of a key wins (by Lamport clock, then by peer id). A new peer gets the earlier writes from
 * the peers that are present. A peer that was cut off gets the writes of that time when it is back.
 *
 * Bounds: 10 000 keys (deleted keys included), 256 characters per key, 64 KiB of JSON per value, 8
 * MiB in all.
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
  readonly #unsubscribe: () => void
  /** The keys that this node wrote and that no other peer has received yet. */
  readonly #unsent = new Set<string>()
  readonly #keeper: Keeper | undefined
  /** The entries that this node wrote before the stored ones were loaded. */
  readonly #early = new Map<string, Entry>()
  #sending = false
  /** Whether updates wait for the stored entries: a write must not be older than those. */
  #held = false
  #closed = false
  #onReady: () => void = () => {}
  /**
   * Resolves when the stored entries are loaded, and the state was compared with a present peer or
   * no peer with this state was found for a moment. Never rejects: `saved()` tells why a storage
   * failed.
   */
  readonly ready: Promise<void>

  /**
   * For internal use: applications call `node.state()`.
   *
   * @internal
   */
  constructor (name: string, options: StateOptions<T>, { self, topics, topic, place }: StateSettings) {
    this.name = name
    this.#entries = new Entries(options.merge as Join | undefined)
    this.#initial = { ...options.initial }
    this.#joins = options.merge !== undefined
    this.#self = self
    this.#topics = topics
    this.#topic = topic
    const compared = new Promise<void>((resolve) => { this.#onReady = resolve })
    this.#held = place !== undefined
    this.#keeper = place === undefined ? undefined : this.#keep(place)
    this.ready = Promise.all([compared, this.#keeper?.started]).then(() => {})
    this.#unsubscribe = topics.subscribe(
      topic,
      ({ from, data }) => parseUpdate(data, from) !== undefined,
      ({ from, data }) => { this.#take(parseUpdate(data, from) ?? []) }
    )
  }

  /** The value of a key. */
  get (key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (entry !== undefined) return entry.value as T | undefined
    return Object.hasOwn(this.#initial, key) ? this.#initial[key] : undefined
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
   * Writes a key. This node sees the value at once and sends it to the others; while no peer can be
   * reached, the write is kept and sent later.
   *
   * @throws PeerworkError `invalid-argument` or `too-large` for a key or value out of bounds,
   * `state-full` beyond the bounds of the whole state, `left` after `close()`.
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
   * @throws PeerworkError `invalid-argument` in a state with `merge`, and the errors of {@link
   * SharedState.set}.
   */
  delete (key: string): void {
    if (this.#joins) {
      throw new PeerworkError('invalid-argument', 'a state with merge cannot delete')
    }
    this.#write(key, undefined)
  }

  /**
   * Calls `listener` at every change, including changes by this peer, until the returned function
   * is called.
   */
  onChange (listener: (change: StateChange<T>) => void): () => void {
    return this.#emitter.on('change', listener)
  }

  /**
   * Resolves when all writes so far, of this node and of others, are stored durably: they are there
   * after a crash of the page or process.
   *
   * @throws PeerworkError `storage-failed` (the node goes on, and tries again by itself),
   * `invalid-argument` when the state is not stored.
   */
  async saved (): Promise<void> {
    if (this.#keeper === undefined) {
      throw new PeerworkError('invalid-argument', `the state "${this.name}" is not stored: join with persist`)
    }
    await this.#keeper.saved()
  }

  /** Ends the subscription to updates of the state. Changes that are not stored yet are stored. */
  close (): void {
    this.#closed = true
    this.#unsubscribe()
    this.#emitter.clear()
    this.#onReady()
    void this.finished()
  }

  /** For internal use: resolves when the stored entries are loaded, or cannot be loaded for now. */
  async started (): Promise<void> {
    await this.#keeper?.started
  }

  /** For internal use: stores the last changes. Never rejects. */
  async finished (): Promise<void> {
    await this.#keeper?.finish()
  }

  /** For internal use: stores changes at once, because the page is about to end. */
  hurry (): void {
    this.#keeper?.hurry()
  }

  /**
   * For internal use: the functions for the exchange with other peers.
   *
   * @internal
   */
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

  /** For internal use: resolves `ready`, since the first comparison is over. */
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
    if (this.#keeper?.loaded === false) this.#early.set(key, entry)
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
    this.#keeper?.mark(key)
    this.#emitter.emit('change', { key, value: entry.value as T | undefined, author: entry.author })
  }

  /**
   * For internal use: publishes the writes that no peer has received yet. Writes of one turn of the
   * event loop are combined.
   */
  flush (): void {
    if (this.#sending || this.#held || this.#closed || this.#unsent.size === 0) return
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

  #keep (place: Place): Keeper {
    const keeper = new Keeper(place, {
      restore: (entries) => { this.#restore(entries) },
      entry: (key) => this.#entries.get(key),
      resolve: (stored, given) => this.#entries.resolve(stored, given)
    })
    void keeper.started.then(() => {
      this.#held = false
      this.flush()
    })
    return keeper
  }

  /**
   * Applies the stored entries. A write that this node made before gets a larger clock than those,
   * because it is newer.
   */
  #restore (stored: Entry[]): void {
    for (const { clock } of stored) this.#entries.see(clock)
    for (const [key, early] of this.#early) {
      const entry = this.#entries.get(key)
      // A value that a peer wrote later stays the value of that peer; a joined value holds both.
      if (entry === undefined || (!this.#joins && !isSame(entry, early))) continue
      this.#entries.apply(this.#entries.write(key, entry.value, this.#self))
      this.#keeper?.mark(key)
      this.#unsent.add(key)
    }
    this.#early.clear()
    for (const entry of stored) {
      try {
        if (this.#entries.apply(entry) === 'changed') this.#tellRestored(entry)
      } catch {
        // The application's `merge` does not take the stored value.
      }
    }
    this.flush()
  }

  /** Reports a stored entry as a change; it is stored again only if it was joined. */
  #tellRestored (stored: Entry): void {
    const entry = this.#entries.get(stored.key)
    if (entry === undefined) return
    if (!isSame(entry, stored)) this.#keeper?.mark(stored.key)
    this.#emitter.emit('change', { key: stored.key, value: entry.value as T | undefined, author: entry.author })
  }

  /**
   * The entry to publish for a key that this node wrote. An entry that another peer has written
   * since is published by that peer. But a value joined from both writes exists only here, and
   * becomes a write of this node.
   */
  #ownEntry (key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.author === this.#self) return entry
    if (!this.#joins) return undefined
    const own = this.#entries.write(key, entry.value, this.#self)
    if (this.#entries.apply(own) === 'full') return undefined
    this.#keeper?.mark(key)
    return own
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
