/**
 * `Outbox` publishes the updates that this node makes to a Yjs document. Updates of a burst are
 * merged, and updates that no peer received are kept until a peer can be reached.
 */

import * as Y from 'yjs'
import { YJS_UPDATE_BYTES_MAX } from '../limits.js'

/** The time for which updates are collected before they are published together. */
const DEBOUNCE_MS = 30
/** The updates that are kept apart; more are merged at once. */
const PARTS_MAX = 256
/** The size of an update without content: no items, no deletions. */
const EMPTY_UPDATE_BYTES = 2

export interface Outlet {
  /** Publishes an update; returns whether a peer or a relay took it. */
  publish: (update: Uint8Array) => Promise<boolean>
  /** Announces that this node has updates to fetch; returns whether a peer or a relay took it. */
  announce: () => Promise<boolean>
}

export class Outbox {
  readonly #outlet: Outlet
  #parts: Uint8Array[] = []
  /** Whether updates were made that are too large for a message. */
  #isLarge = false
  #isOpen = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #sending: Promise<void> | undefined

  constructor (outlet: Outlet) {
    this.#outlet = outlet
  }

  /** Adds an update of this node, which is published soon. */
  add (update: Uint8Array): void {
    this.#parts.push(update)
    if (this.#parts.length > PARTS_MAX) this.#merge()
    if (this.#isOpen) this.#timer ??= setTimeout(() => { void this.flush() }, DEBOUNCE_MS)
  }

  /**
   * Begins to publish, after the document was compared with a peer or no peer was found.
   *
   * @param vector the state vector of the compared peer, which needs no update that it knows
   */
  open (vector?: Uint8Array): void {
    if (this.#isOpen) return
    this.#isOpen = true
    this.#merge()
    if (vector !== undefined) this.#parts = this.#parts.map((update) => Y.diffUpdate(update, vector))
    void this.flush()
  }

  /** Keeps updates from now on, because they would not reach any peer. */
  hold (): void {
    this.#isOpen = false
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Publishes the kept updates again, if the outbox is open. */
  retry (): void {
    if (this.#isOpen) void this.flush()
  }

  /** Publishes the kept updates now; resolves when they were taken, or were not and are kept. */
  async flush (): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#sending ??= this.#send()
    await this.#sending
  }

  async #send (): Promise<void> {
    // `#sending` is set when this function goes on, and is cleared in the turn that finds no update.
    await Promise.resolve()
    try {
      this.#merge()
      while (this.#parts.length > 0 || this.#isLarge) {
        const [parts, isLarge] = [this.#parts, this.#isLarge]
        this.#parts = []
        this.#isLarge = false
        if (!await this.#publish(parts, isLarge)) {
          this.#parts.unshift(...parts)
          this.#isLarge ||= isLarge
          return
        }
        this.#merge()
      }
    } finally {
      this.#sending = undefined
    }
  }

  async #publish (parts: Uint8Array[], isLarge: boolean): Promise<boolean> {
    for (const update of parts) {
      if (update.byteLength > EMPTY_UPDATE_BYTES && !await this.#outlet.publish(update)) return false
    }
    return !isLarge || await this.#outlet.announce()
  }

  /** Merges the kept updates into one, and leaves those beyond the size of a message to comparisons. */
  #merge (): void {
    if (this.#parts.length > 1) this.#parts = [Y.mergeUpdates(this.#parts)]
    if (this.#parts.every(({ byteLength }) => byteLength <= YJS_UPDATE_BYTES_MAX)) return
    this.#parts = []
    this.#isLarge = true
  }
}
