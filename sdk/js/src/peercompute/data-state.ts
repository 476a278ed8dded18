/**
 * `DataState` gives the values of a kernel by layers: hot values stay in this program, and warm
 * values are the shared state.
 */

import { PeerworkError } from '../errors.js'
import type { Json } from '../bytes.js'
import type { StateManager } from './state-manager.js'

/** The change that a task made. */
export interface Delta {
  taskId?: string
  /** Another name of `taskId`. */
  key?: string
  /** The namespace; default: the kernel's `deltaNamespace`. */
  scope?: string
  version?: number | string
  payload?: Json
  timestamp?: number
}

export class DataState {
  readonly #state: StateManager
  readonly #deltaNamespace: string
  readonly #hot = new Map<string, unknown>()

  /**
   * For internal use: programs call `getDataState()` of the state manager.
   *
   * @internal
   */
  constructor (state: StateManager, deltaNamespace: string) {
    this.#state = state
    this.#deltaNamespace = deltaNamespace
  }

  /**
   * Writes `{ version, payload, ts }` under the id of a task.
   *
   * @throws PeerworkError `invalid-argument` for a delta without an id.
   */
  commitDelta (delta: Delta): void {
    const id = delta.taskId ?? delta.key
    if (typeof id !== 'string' || id === '') throw new PeerworkError('invalid-argument', 'a delta has a taskId')
    this.#state.writeScoped(delta.scope ?? this.#deltaNamespace, id, {
      version: delta.version ?? null, payload: delta.payload ?? null, ts: delta.timestamp ?? Date.now()
    })
  }

  getWarmDeltas (namespace = this.#deltaNamespace): Record<string, Json> {
    return Object.fromEntries(this.#state.listNamespaceKeys(namespace).flatMap((key) => {
      const value = this.#state.readScoped(namespace, key)
      return value === undefined ? [] : [[key, value]]
    }))
  }

  readWarm (key: string, namespace?: string): Json | undefined {
    return namespace === undefined ? this.#state.read(key) : this.#state.readScoped(namespace, key)
  }

  writeWarm (key: string, value: Json, namespace?: string): void {
    if (namespace === undefined) this.#state.write(key, value)
    else this.#state.writeScoped(namespace, key, value)
  }

  setHotBuffer (key: string, buffer: unknown): void {
    this.#hot.set(key, buffer)
  }

  getHotBuffer (key: string): unknown {
    return this.#hot.get(key)
  }

  deleteHotBuffer (key: string): void {
    this.#hot.delete(key)
  }

  listHotBuffers (): string[] {
    return [...this.#hot.keys()]
  }
}
