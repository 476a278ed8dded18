/**
 * `ComputeManager` runs tasks in threads of this program, or on other peers when the task asks for
 * it. Unlike tasks of other peers, tasks of this program are trusted and have the network.
 */

import { moduleUrl, processors } from '#threads'
import { PeerworkError } from '../errors.js'
import { THREADS_MAX } from '../limits.js'
import { orAborted } from '../time.js'
import { callHandler } from './handlers.js'
import { ThreadPool } from './thread-pool.js'
import { clock } from '../time.js'
import type { Json } from '../bytes.js'
import type { Compute } from '../compute/compute.js'
import type { RunOptions } from '../compute/run.js'
import type { Delta } from './data-state.js'
import type { TaskCode } from './thread.js'

/** A function that computes a task; it is sent as source text and can use only its input. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the types of input and result are the program's own
export type TaskFunction = (data: any) => unknown

/** A task. Give `fn` (or `compute`, or the source of a function), or `module`. */
export interface ComputeTask {
  id?: string
  /** `cpu` by default; `webgpu` is not supported. */
  type?: string
  /** The input; for other peers it must be JSON. */
  data?: unknown
  fn?: TaskFunction | string
  compute?: TaskFunction | string
  /** The URL of a module; it runs in this program only. */
  module?: string
  /** The function's name in the module; default: `default`. */
  exportName?: string
  shader?: string
  /** The number of other peers that compute the task; more than half must agree. */
  redundancy?: number
  /** The other peers to choose from. */
  peers?: string[]
  /** The time that another peer may take. */
  timeoutMs?: number
}

export interface ComputeSettings {
  /** The number of threads, 1 to 128; default: the number of processors. */
  maxWorkers?: number
  /** With `false` tasks run in the thread of the program itself. */
  enableWorkers?: boolean
  /** Taken and ignored. */
  enableWebGPU?: boolean
}

export interface ComputeCapabilities {
  cpu: true
  webgpu: false
  /** The number of threads that exist now. */
  workers: number
  maxWorkers: number
  activeTaskCount: number
  queuedTaskCount: number
}

export interface ComputeStats {
  totalTasksCompleted: number
  totalTasksFailed: number
  /** The mean time of the completed tasks, in milliseconds. */
  averageTaskDuration: number
  /** The part of the threads that are busy, 0 to 1. */
  currentLoad: number
}

export class ComputeManager {
  readonly #max: number
  readonly #useThreads: boolean
  readonly #remote: () => Compute | undefined
  readonly #pool: ThreadPool
  readonly #active = new Map<string, AbortController>()
  #onDelta: (delta: Delta) => void = () => {}
  #completed = 0
  #failed = 0
  #totalMs = 0

  /** @param remote for internal use: the tasks of the kernel's node */
  constructor (settings: ComputeSettings = {}, remote: () => Compute | undefined = () => undefined) {
    const { maxWorkers } = settings
    const wanted = typeof maxWorkers === 'number' && Number.isFinite(maxWorkers) ? Math.floor(maxWorkers) : processors()
    this.#max = Math.min(THREADS_MAX, Math.max(1, wanted))
    this.#useThreads = settings.enableWorkers !== false
    this.#remote = remote
    this.#pool = new ThreadPool(this.#max)
  }

  /** Does nothing: threads start with the first task. */
  async initialize (): Promise<void> {}

  /** Calls a handler with the `commitDelta` of each result that has one. */
  setCommitDeltaHandler (handler: (delta: Delta) => void): void {
    this.#onDelta = handler
  }

  /**
   * Runs a task in a thread of this program, or on other peers when `redundancy` or `peers` is given.
   * A result `{ commitDelta, value }` commits the delta and returns the value.
   *
   * @throws PeerworkError `invalid-argument`, `not-supported` (WebGPU), `task-failed`, `peer-busy`,
   * and for other peers the errors of `node.compute.run`; an `AbortError` after `cancelTask`.
   */
  async submitTask (task: ComputeTask): Promise<unknown> {
    const code = codeOf(task)
    const id = task.id ?? crypto.randomUUID()
    if (this.#active.has(id)) throw new PeerworkError('invalid-argument', `a task with the id "${id}" is running`)
    const cancel = new AbortController()
    this.#active.set(id, cancel)
    const since = clock()
    try {
      const result = await this.#run(task, code, cancel.signal)
      this.#completed += 1
      this.#totalMs += clock() - since
      return this.#unwrap(result)
    } catch (error) {
      this.#failed += 1
      throw error
    } finally {
      this.#active.delete(id)
    }
  }

  /**
   * Runs a task on each of several peers, and returns their results in the same order.
   *
   * @throws PeerworkError `too-few-peers` when a peer offers no workers, and the errors of `submitTask`.
   */
  async distributeTask (task: ComputeTask, targetNodes: readonly string[]): Promise<unknown[]> {
    return await Promise.all(targetNodes.map(async (peer, at) => {
      const id = task.id === undefined ? {} : { id: `${task.id}/${at}` }
      return await this.submitTask({ ...task, ...id, peers: [peer], redundancy: 1 })
    }))
  }

  /**
   * Ends a task, which then rejects with an `AbortError`. Without threads the function itself runs on,
   * and its result is ignored. Returns whether the task was running.
   */
  async cancelTask (id: string): Promise<boolean> {
    const found = this.#active.get(id)
    found?.abort(new DOMException(`the task "${id}" was cancelled`, 'AbortError'))
    return found !== undefined
  }

  getCapabilities (): ComputeCapabilities {
    return {
      cpu: true,
      webgpu: false,
      workers: this.#pool.threads,
      maxWorkers: this.#max,
      activeTaskCount: this.#active.size - this.#pool.queued,
      queuedTaskCount: this.#pool.queued
    }
  }

  getStats (): ComputeStats {
    return {
      totalTasksCompleted: this.#completed,
      totalTasksFailed: this.#failed,
      averageTaskDuration: this.#completed === 0 ? 0 : this.#totalMs / this.#completed,
      currentLoad: this.#pool.running / this.#max
    }
  }

  /** Ends all tasks and threads. Tasks that are submitted later start threads again. */
  async destroy (): Promise<void> {
    const reason = new DOMException('the compute manager was stopped', 'AbortError')
    for (const task of this.#active.values()) task.abort(reason)
    this.#pool.stop(reason)
  }

  async #run (task: ComputeTask, code: TaskCode, signal: AbortSignal): Promise<unknown> {
    if (task.redundancy !== undefined || task.peers !== undefined) return await this.#runElsewhere(task, code, signal)
    if (this.#useThreads) return await this.#pool.run(code, task.data ?? null, signal)
    const run = 'source' in code ? task.fn ?? task.compute : (await import(code.module) as Record<string, unknown>)[code.exportName]
    if (typeof run !== 'function') {
      throw new PeerworkError('invalid-argument', 'without threads a task needs a function, not its source')
    }
    signal.throwIfAborted()
    return await orAborted((async () => await (run as TaskFunction)(task.data ?? null))(), signal)
  }

  async #runElsewhere (task: ComputeTask, code: TaskCode, signal: AbortSignal): Promise<unknown> {
    const compute = this.#remote()
    if (compute === undefined) throw new PeerworkError('left', 'the kernel is not started')
    if (!('source' in code)) throw new PeerworkError('invalid-argument', 'other peers compute functions, and no modules')
    const options: RunOptions = { signal, redundancy: task.redundancy ?? task.peers?.length ?? 1 }
    if (task.peers !== undefined) options.peers = task.peers
    if (task.timeoutMs !== undefined) options.timeoutMs = task.timeoutMs
    return (await compute.run(code.source, (task.data ?? null) as Json, options)).value
  }

  #unwrap (result: unknown): unknown {
    if (typeof result !== 'object' || result === null || !Object.hasOwn(result, 'commitDelta')) return result
    const { commitDelta, value, result: other } = result as { commitDelta: Delta, value?: unknown, result?: unknown }
    callHandler('committing a delta', this.#onDelta, commitDelta)
    return Object.hasOwn(result, 'value') ? value : other
  }
}

function codeOf (task: ComputeTask): TaskCode {
  if (typeof task !== 'object' || task === null) throw new PeerworkError('invalid-argument', 'a task is an object')
  if (task.type === 'webgpu' || task.shader !== undefined) {
    throw new PeerworkError('not-supported', 'WebGPU tasks are not supported: run the shader in the page itself', { side: 'caller' })
  }
  const fn = task.fn ?? task.compute
  if (typeof fn === 'function' || typeof fn === 'string') return { source: fn.toString() }
  if (typeof task.module === 'string' && task.module !== '') {
    return { module: moduleUrl(task.module), exportName: task.exportName ?? 'default' }
  }
  throw new PeerworkError('invalid-argument', 'a task has fn or module')
}
