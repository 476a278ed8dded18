/**
 * `Emitter` is a typed set of event listeners. An error thrown by a listener disturbs neither other
 * listeners nor the node.
 */

export type Listener<T> = (detail: T) => void

export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>()

  /** Calls `listener` at every `event` until the returned function is called. */
  on<Name extends keyof Events> (event: Name, listener: Listener<Events[Name]>): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    // The wrapper allows the same function to be registered twice and removed once.
    const own: Listener<Events[Name]> = (detail) => { listener(detail) }
    listeners.add(own)
    return () => { listeners.delete(own) }
  }

  emit<Name extends keyof Events> (event: Name, detail: Events[Name]): void {
    for (const listener of [...this.#listeners.get(event) ?? []]) {
      callSafely(listener as Listener<Events[Name]>, detail)
    }
  }

  clear (): void {
    this.#listeners.clear()
  }
}

/**
 * Calls user code; an error that it throws is reported as an uncaught error, as for DOM event
 * listeners.
 */
export function callSafely<T> (listener: (detail: T) => unknown, detail: T): void {
  try {
    const result = listener(detail)
    if (result instanceof Promise) result.catch(reportLater)
  } catch (error) {
    reportLater(error)
  }
}

function reportLater (error: unknown): void {
  queueMicrotask(() => { throw error })
}
