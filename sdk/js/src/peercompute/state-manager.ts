/**
 * `StateManager` is the shared state of a kernel: keys, and keys in namespaces, that all kernels of
 * one room read and write. It works before the kernel is started, and keeps its values after the
 * kernel is stopped.
 */

import { PeerworkError } from '../errors.js'
import { STATE_VALUE_BYTES_MAX } from '../limits.js'
import { fitsAsValue } from '../state/wire.js'
import { DataState } from './data-state.js'
import { callHandler } from './handlers.js'
import { checkNamespace, fullKey, parseKey } from './state-keys.js'
import { Values } from './values.js'
import type { Json } from '../bytes.js'
import type { SharedState } from '../state/shared-state.js'
import type { Delta } from './data-state.js'

/** Called for a changed key; the value is `undefined` for a deleted key. */
export type StateListener = (value: Json | undefined, key: string) => void

export interface StateSettings {
  docName: string
  topic: string
  deltaNamespace: string
  /** Whether keys of a namespace are shared; `''` stands for keys without one. */
  shares: (namespace: string) => boolean
  hasPersistence: () => boolean
}

export interface StateStats {
  isInitialized: boolean
  keyCount: number
  /** The number of keys with listeners. */
  subscriberCount: number
  globalSubscriberCount: number
  hasPersistence: boolean
  /** Whether the state is shared with a room now. */
  hasP2PSync: boolean
  docName: string
  topic: string
  hotBufferCount: number
}

export interface StateSnapshot {
  data: Record<string, Json>
  timestamp: number
  /** The number of changes that this kernel has seen. */
  version: number
  keyCount: number
}

export class StateManager {
  readonly #settings: StateSettings
  readonly #values: Values
  /** Facts about this node, which are readable like keys and are not shared. */
  readonly #facts = new Map<string, Json>()
  /** The listeners by full key, and by namespace. */
  readonly #byKey = new Map<string, Set<StateListener>>()
  readonly #byNamespace = new Map<string, Set<StateListener>>()
  readonly #data: DataState

  /**
   * For internal use: programs call `kernel.getStateManager()`.
   *
   * @internal
   */
  constructor (settings: StateSettings) {
    this.#settings = settings
    this.#values = new Values(
      (full) => settings.shares(parseKey(full)?.namespace ?? ''),
      (full, value) => { this.#tell(full, value) }
    )
    this.#data = new DataState(this, settings.deltaNamespace)
  }

  /** The value of a key; `undefined` if it has none. */
  read (key: string): Json | undefined {
    const value = this.#values.get(fullKey({ namespace: '', key }))
    return value === undefined ? this.#facts.get(key) : value
  }

  /**
   * Writes a key, of JSON up to 64 KiB; `undefined` deletes it. The last write of all peers wins.
   *
   * @throws PeerworkError `invalid-argument`, `too-large`, `state-full`.
   */
  write (key: string, value: Json | undefined): void {
    this.#set('', key, value)
  }

  delete (key: string): void {
    this.#set('', key, undefined)
  }

  has (key: string): boolean {
    return this.read(key) !== undefined
  }

  /** The keys without a namespace. */
  keys (): string[] {
    return [...new Set([...this.#facts.keys(), ...this.listNamespaceKeys('')])]
  }

  values (): Json[] {
    return this.entries().map(([, value]) => value)
  }

  entries (): Array<[string, Json]> {
    return this.keys().flatMap((key) => {
      const value = this.read(key)
      return value === undefined ? [] : [[key, value] as [string, Json]]
    })
  }

  /** Writes several keys, which go to the others together. */
  batchWrite (updates: Record<string, Json>): void {
    for (const [key, value] of Object.entries(updates)) this.write(key, value)
  }

  /**
   * Calls a listener at each change of a key, or of any key without a namespace for `*`, until the
   * returned function is called. Changes by this program count too.
   */
  subscribe (key: string, listener: StateListener): () => void {
    return key === '*' ? listen(this.#byNamespace, '', listener) : listen(this.#byKey, fullKey({ namespace: '', key }), listener)
  }

  snapshot (): StateSnapshot {
    const data = Object.fromEntries(this.entries())
    return { data, timestamp: Date.now(), version: this.#values.version, keyCount: Object.keys(data).length }
  }

  /** Deletes all keys, those in namespaces too. */
  clear (): void {
    for (const full of this.#values.keys()) this.#values.set(full, undefined)
  }

  writeScoped (namespace: string, key: string, value: Json | undefined): void {
    this.#set(checkNamespace(namespace), key, value)
  }

  readScoped (namespace: string, key: string): Json | undefined {
    return this.#values.get(fullKey({ namespace: checkNamespace(namespace), key }))
  }

  hasScoped (namespace: string, key: string): boolean {
    return this.readScoped(namespace, key) !== undefined
  }

  deleteScoped (namespace: string, key: string): void {
    this.#set(checkNamespace(namespace), key, undefined)
  }

  clearNamespace (namespace: string): void {
    for (const key of this.listNamespaceKeys(checkNamespace(namespace))) this.#set(namespace, key, undefined)
  }

  listNamespaceKeys (namespace: string): string[] {
    return this.#values.keys().flatMap((full) => {
      const parsed = parseKey(full)
      return parsed?.namespace === namespace ? [parsed.key] : []
    })
  }

  /** Calls a listener at each change of a key in a namespace, until the returned function is called. */
  observeNamespace (namespace: string, listener: StateListener): () => void {
    return listen(this.#byNamespace, checkNamespace(namespace), listener)
  }

  /**
   * Writes the delta of a task to the namespace of deltas.
   *
   * @throws PeerworkError `invalid-argument` for a delta without `taskId`.
   */
  commitDelta (delta: Delta): void {
    this.#data.commitDelta(delta)
  }

  getWarmDeltas (namespace?: string): Record<string, Json> {
    return this.#data.getWarmDeltas(namespace)
  }

  getDataState (): DataState {
    return this.#data
  }

  setHotBuffer (key: string, buffer: unknown): void {
    this.#data.setHotBuffer(key, buffer)
  }

  getHotBuffer (key: string): unknown {
    return this.#data.getHotBuffer(key)
  }

  /** Resolves when the state was compared with a present peer, or no peer is present. */
  async synchronize (): Promise<void> {
    await this.#values.ready()
  }

  getDocName (): string {
    return this.#settings.docName
  }

  getStats (): StateStats {
    return {
      isInitialized: true,
      keyCount: this.keys().length,
      subscriberCount: this.#byKey.size,
      globalSubscriberCount: this.#byNamespace.get('')?.size ?? 0,
      hasPersistence: this.#settings.hasPersistence(),
      hasP2PSync: this.#values.isShared,
      docName: this.#settings.docName,
      topic: this.#settings.topic,
      hotBufferCount: this.#data.listHotBuffers().length
    }
  }

  /** @throws PeerworkError `not-supported`: the state is no Yjs document. */
  getYDoc (): never {
    throw noYjs('getYDoc')
  }

  /** @throws PeerworkError `not-supported`: the state is no Yjs document. */
  getYMap (): never {
    throw noYjs('getYMap')
  }

  /** @throws PeerworkError `not-supported`: the state is no Yjs document. */
  getAwareness (): never {
    throw noYjs('getAwareness')
  }

  /**
   * For internal use: sets a fact about this node.
   *
   * @internal
   */
  setFact (key: string, value: Json): void {
    this.#facts.set(key, value)
    if (this.#values.get(fullKey({ namespace: '', key })) === undefined) this.#tell(fullKey({ namespace: '', key }), value)
  }

  /**
   * For internal use: begins to share the state with a room.
   *
   * @internal
   */
  attach (state: SharedState): void {
    this.#values.attach(state)
  }

  /**
   * For internal use: ends the sharing and keeps the values.
   *
   * @internal
   */
  detach (): void {
    this.#values.detach()
  }

  #set (namespace: string, key: string, value: Json | undefined): void {
    const full = fullKey({ namespace, key })
    if (value === undefined) {
      this.#values.set(full, undefined)
      return
    }
    if (!fitsAsValue(value)) {
      throw new PeerworkError('too-large', `the value of "${key}" is no JSON of at most ${STATE_VALUE_BYTES_MAX} bytes`)
    }
    // Other peers get JSON, so this program reads the same.
    this.#values.set(full, JSON.parse(JSON.stringify(value)) as Json)
  }

  #tell (full: string, value: Json | undefined): void {
    const parsed = parseKey(full)
    if (parsed === undefined) return
    for (const listeners of [this.#byKey.get(full), this.#byNamespace.get(parsed.namespace)]) {
      for (const listener of [...listeners ?? []]) callHandler('a state listener', listener, value, parsed.key)
    }
  }
}

function listen (all: Map<string, Set<StateListener>>, name: string, listener: StateListener): () => void {
  const listeners = all.get(name) ?? new Set()
  all.set(name, listeners)
  const own: StateListener = (value, key) => { listener(value, key) }
  listeners.add(own)
  return () => {
    listeners.delete(own)
    if (listeners.size === 0) all.delete(name)
  }
}

function noYjs (method: string): PeerworkError {
  return new PeerworkError('not-supported',
    `${method}: this state is no Yjs document; use the provider of peerwork/yjs on kernel.node for one`, { side: 'caller' })
}
