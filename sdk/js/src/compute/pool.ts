/**
 * `Pool` runs tasks in threads: a limited number at once, while further tasks wait in a bounded
 * queue.
 */

import { platform } from '#platform'
import { utf8 } from '../bytes.js'
import { TASK_RESULT_BYTES_MAX } from '../limits.js'
import { parseOutcome, taskScript } from './task-script.js'
import type { Task, TaskAnswer } from './wire.js'
import type { TaskThread } from '../platform/platform.js'

export interface PoolBounds {
  workers: number
  queue: number
  timeoutMaxMs: number
  memoryMiB: number
}

interface Waiting {
  start: () => void
}

export class Pool {
  readonly #bounds: PoolBounds
  readonly #waiting: Waiting[] = []
  #running = 0
  #closed = false
  readonly #stops = new Set<() => void>()

  constructor (bounds: PoolBounds) {
    this.#bounds = bounds
  }

  /**
   * Runs a task and returns its answer; aborting the signal ends the thread at once. Never rejects.
   */
  async run (task: Task, signal: AbortSignal): Promise<TaskAnswer> {
    if (this.#closed) return no('refused', 'this peer stopped computing')
    if (!await this.#turn(signal)) return no('busy', 'all workers are taken')
    try {
      if (signal.aborted || this.#closed) return no('refused', 'cancelled')
      return await this.#compute(task, signal)
    } finally {
      this.#running -= 1
      this.#waiting.shift()?.start()
    }
  }

  /** Ends all tasks. */
  close (): void {
    this.#closed = true
    for (const stop of [...this.#stops]) stop()
    for (const waiting of this.#waiting.splice(0)) waiting.start()
  }

  /** Waits for a free worker; returns false when the queue is full. */
  async #turn (signal: AbortSignal): Promise<boolean> {
    if (this.#running < this.#bounds.workers) {
      this.#running += 1
      return true
    }
    if (this.#waiting.length >= this.#bounds.queue) return false
    await new Promise<void>((resolve) => {
      const waiting: Waiting = { start: resolve }
      this.#waiting.push(waiting)
      signal.addEventListener('abort', () => {
        const at = this.#waiting.indexOf(waiting)
        if (at >= 0) this.#waiting.splice(at, 1)
        resolve()
      }, { once: true })
    })
    this.#running += 1
    return true
  }

  async #compute (task: Task, signal: AbortSignal): Promise<TaskAnswer> {
    let thread: TaskThread | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    let stop: () => void = () => {}
    const ms = Math.min(task.timeoutMs, this.#bounds.timeoutMaxMs)
    try {
      return await new Promise<TaskAnswer>((resolve) => {
        stop = () => { resolve(no('refused', 'cancelled')) }
        this.#stops.add(stop)
        signal.addEventListener('abort', stop, { once: true })
        timer = setTimeout(() => { resolve(no('timeout', `the task took longer than ${ms} ms`)) }, ms)
        thread = platform.startTask({
          script: taskScript(task.source),
          input: task.input,
          memoryMiB: this.#bounds.memoryMiB,
          onAnswer: (answer) => { resolve(answerOf(answer)) },
          onFailure: (message) => { resolve(no('threw', message.slice(0, 500))) }
        })
      })
    } catch (error) {
      return no('threw', String(error).slice(0, 500))
    } finally {
      clearTimeout(timer)
      this.#stops.delete(stop)
      signal.removeEventListener('abort', stop)
      thread?.stop()
    }
  }
}

function answerOf (answer: unknown): TaskAnswer {
  const outcome = parseOutcome(answer, TASK_RESULT_BYTES_MAX)
  if (!outcome.ok) return no('threw', outcome.message)
  const bytes = utf8(JSON.stringify(outcome.result)).byteLength
  return bytes > TASK_RESULT_BYTES_MAX ? no('threw', 'the result is too large') : outcome
}

function no (failure: 'busy' | 'refused' | 'timeout' | 'threw', message: string): TaskAnswer {
  return { ok: false, failure, message }
}
