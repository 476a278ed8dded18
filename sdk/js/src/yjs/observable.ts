/**
 * `Observable` calls listeners by name, with the methods that the providers of Yjs have: `on`,
 * `once`, `off` and `emit`.
 */

import { callSafely } from '../events.js'

type Listener<T> = (detail: T) => void

export class Observable<Events> {
  readonly #listeners = new Map<keyof Events, Map<Listener<never>, Listener<never>>>()

  /** Calls `listener` at every `event` until `off`. */
  on<Name extends keyof Events> (event: Name, listener: Listener<Events[Name]>): Listener<Events[Name]> {
    return this.#add(event, listener, listener)
  }

  /** Calls `listener` at the next `event` only. */
  once<Name extends keyof Events> (event: Name, listener: Listener<Events[Name]>): Listener<Events[Name]> {
    return this.#add(event, listener, (detail) => {
      this.off(event, listener)
      listener(detail)
    })
  }

  /** Removes a listener that `on` or `once` added. */
  off<Name extends keyof Events> (event: Name, listener: Listener<Events[Name]>): void {
    this.#listeners.get(event)?.delete(listener as Listener<never>)
  }

  /** Calls all listeners of an event. */
  emit<Name extends keyof Events> (event: Name, detail: Events[Name]): void {
    for (const listener of [...this.#listeners.get(event)?.values() ?? []]) {
      callSafely(listener as Listener<Events[Name]>, detail)
    }
  }

  #add<T> (event: keyof Events, key: Listener<T>, call: Listener<T>): Listener<T> {
    const listeners = this.#listeners.get(event) ?? new Map<Listener<never>, Listener<never>>()
    this.#listeners.set(event, listeners)
    listeners.set(key as Listener<never>, call as Listener<never>)
    return key
  }

  protected clear (): void {
    this.#listeners.clear()
  }
}
