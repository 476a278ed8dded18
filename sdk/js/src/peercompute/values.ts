/**
 * `Values` holds the values of a kernel's state while it is offline, and of a shared state while
 * the kernel is in a room.
 *
 * A write counts at once for this program. While the state of the room is unknown, at the start, the
 * write is held: an entry that is written before the others' entries have arrived has an older clock
 * than they, and would lose.
 */

import { callHandler } from './handlers.js'
import type { Json } from '../bytes.js'
import type { SharedState } from '../state/shared-state.js'

/** Called for each key that changed; the value is `undefined` for a deleted key. */
export type ChangeListener = (full: string, value: Json | undefined) => void

/** The time after which held writes are sent, although no comparison with a peer has ended. */
const HOLD_MS = 3000

export class Values {
  /** Writes that are not in the shared state: `undefined` deletes a key. */
  readonly #held = new Map<string, Json | undefined>()
  /** The values of the room that this kernel was in before, until the room is known again. */
  readonly #kept = new Map<string, Json>()
  /** The keys that this program wrote itself. */
  readonly #own = new Set<string>()
  readonly #shares: (full: string) => boolean
  readonly #onChange: ChangeListener
  #state: SharedState | undefined
  #off: () => void = () => {}
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Whether writes go to the shared state at once. */
  #open = false
  #replaying = false
  /** The number of changes so far. */
  version = 0

  /** @param shares whether a key is sent to other peers */
  constructor (shares: (full: string) => boolean, onChange: ChangeListener) {
    this.#shares = shares
    this.#onChange = onChange
  }

  get isShared (): boolean {
    return this.#state !== undefined
  }

  get (full: string): Json | undefined {
    if (this.#held.has(full)) return this.#held.get(full)
    const shared = this.#state?.get(full)
    return shared === undefined ? this.#kept.get(full) : shared
  }

  keys (): string[] {
    const keys = new Set([...this.#kept.keys(), ...this.#state?.keys() ?? []])
    for (const [full, value] of this.#held) {
      if (value === undefined) keys.delete(full)
      else keys.add(full)
    }
    return [...keys]
  }

  /**
   * Writes a key; `undefined` deletes it.
   *
   * @throws PeerworkError as `SharedState.set` does.
   */
  set (full: string, value: Json | undefined): void {
    if (value === undefined) this.#own.delete(full)
    else this.#own.add(full)
    if (this.#state !== undefined && this.#open && this.#shares(full)) {
      if (value !== undefined) this.#state.set(full, value)
      else if (this.#state.get(full) !== undefined) this.#state.delete(full)
    } else {
      this.#held.set(full, value)
      this.#tell(full, value)
    }
  }

  /** Resolves when the state was compared with a present peer, or no peer is present. */
  async ready (): Promise<void> {
    await this.#state?.ready
  }

  /** Begins to use the state of a room. */
  attach (state: SharedState): void {
    this.#state = state
    this.#off = state.onChange(({ key, value }) => {
      this.#kept.delete(key)
      if (!this.#replaying && !this.#held.has(key)) this.#tell(key, value)
    })
    const open = (): void => { if (this.#state === state) this.#becomeOpen() }
    this.#timer = setTimeout(open, HOLD_MS)
    void state.ready.then(open)
  }

  /** Sends the held writes and keeps a copy of the room's values. */
  detach (): void {
    const state = this.#state
    if (state === undefined) return
    clearTimeout(this.#timer)
    this.#release()
    this.#off()
    for (const [full, value] of Object.entries(state.toObject())) this.#kept.set(full, value)
    this.#state = undefined
    this.#open = false
  }

  /** Lets writes go to the room from now on, whose values are known. */
  #becomeOpen (): void {
    clearTimeout(this.#timer)
    if (this.#open) return
    this.#open = true
    this.#settleKept()
    this.#release()
  }

  /**
   * Decides about the values of the time before the stop that the room does not have. Other peers may
   * have deleted them, so only those that this program wrote come back, or all in an empty room.
   */
  #settleKept (): void {
    const empty = this.#state?.keys().length === 0
    const kept = [...this.#kept].filter(([full]) => this.#state?.get(full) === undefined)
    this.#kept.clear()
    const back = kept.filter(([full]) => this.#shares(full) && (empty || this.#own.has(full)))
    this.#replay(back)
    const returned = new Set(back.map(([full]) => full))
    for (const [full] of kept) if (!returned.has(full) && !this.#held.has(full)) this.#tell(full, undefined)
  }

  #release (): void {
    const writes = [...this.#held].filter(([full]) => this.#shares(full))
    for (const [full] of writes) this.#held.delete(full)
    this.#replay(writes)
  }

  /** Writes entries that this program has seen already. */
  #replay (entries: Array<[string, Json | undefined]>): void {
    this.#replaying = true
    for (const [full, value] of entries) {
      try {
        if (value !== undefined) this.#state?.set(full, value)
        else if (this.#state?.get(full) !== undefined) this.#state.delete(full)
      } catch (error) {
        console.warn(`[peerwork] the state "${full}" could not be shared:`, error)
      }
    }
    this.#replaying = false
  }

  #tell (full: string, value: Json | undefined): void {
    this.version += 1
    callHandler('a state listener', this.#onChange, full, value)
  }
}
