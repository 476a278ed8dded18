/**
 * `ThreadPool` runs tasks of this program in a limited number of threads. A thread keeps the code
 * of its task, so that the next task with the same code starts at once.
 */

import { startThread } from '#threads'
import { PeerworkError } from '../errors.js'
import { THREAD_TASKS_QUEUED_MAX } from '../limits.js'
import type { TaskCode, Thread, ThreadAnswer } from './thread.js'

interface Job {
  key: string
  code: TaskCode
  data: unknown
  resolve: (result: unknown) => void
  reject: (error: unknown) => void
}

interface Seat {
  key: string
  thread: Thread
  job: Job | undefined
}

export class ThreadPool {
  readonly #max: number
  readonly #seats = new Set<Seat>()
  readonly #queue: Job[] = []

  constructor (max: number) {
    this.#max = max
  }

  get threads (): number {
    return this.#seats.size
  }

  get running (): number {
    return [...this.#seats].filter(({ job }) => job !== undefined).length
  }

  get queued (): number {
    return this.#queue.length
  }

  /**
   * Runs a task; aborting the signal ends its thread.
   *
   * @throws PeerworkError `peer-busy` when 1000 tasks wait, `task-failed`; the signal's reason.
   */
  async run (code: TaskCode, data: unknown, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted()
    if (this.#queue.length >= THREAD_TASKS_QUEUED_MAX) {
      throw new PeerworkError('peer-busy', `${THREAD_TASKS_QUEUED_MAX} tasks wait for a thread`, { side: 'us' })
    }
    let onAbort: () => void = () => {}
    try {
      return await new Promise((resolve, reject) => {
        const job: Job = { key: JSON.stringify(code), code, data, resolve, reject }
        onAbort = () => { this.#cancel(job, signal.reason) }
        signal.addEventListener('abort', onAbort, { once: true })
        this.#queue.push(job)
        this.#fill()
      })
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Ends all threads; tasks that run or wait fail with the reason. */
  stop (reason: unknown): void {
    const jobs = [...this.#queue.splice(0), ...[...this.#seats].flatMap(({ job }) => job ?? [])]
    for (const seat of [...this.#seats]) this.#end(seat)
    for (const job of jobs) job.reject(reason)
  }

  /** Gives waiting tasks to free threads. */
  #fill (): void {
    for (;;) {
      const [job] = this.#queue
      const seat = job === undefined ? undefined : this.#seatFor(job)
      if (job === undefined || seat === undefined) return
      this.#queue.shift()
      seat.job = job
      seat.thread.hold(true)
      try {
        seat.thread.post({ id: 0, data: job.data })
      } catch (error) {
        this.#free(seat)
        job.reject(error)
      }
    }
  }

  #seatFor (job: Job): Seat | undefined {
    const idle = [...this.#seats].filter((seat) => seat.job === undefined)
    const same = idle.find(({ key }) => key === job.key)
    if (same !== undefined) return same
    if (this.#seats.size >= this.#max) {
      const [other] = idle
      if (other === undefined) return undefined
      this.#end(other)
    }
    return this.#start(job)
  }

  #start (job: Job): Seat {
    const seat: Seat = {
      key: job.key,
      job: undefined,
      thread: startThread(job.code, {
        onAnswer: (answer) => { this.#onAnswer(seat, answer) },
        onFailure: (message) => { this.#onFailure(seat, message) }
      })
    }
    this.#seats.add(seat)
    return seat
  }

  #onAnswer (seat: Seat, { ok, result, message }: ThreadAnswer): void {
    const { job } = seat
    this.#free(seat)
    if (ok) job?.resolve(result)
    else job?.reject(new PeerworkError('task-failed', message ?? 'the task failed'))
    this.#fill()
  }

  #onFailure (seat: Seat, message: string): void {
    if (!this.#seats.has(seat)) return
    const { job } = seat
    this.#end(seat)
    job?.reject(new PeerworkError('task-failed', message))
    this.#fill()
  }

  #cancel (job: Job, reason: unknown): void {
    const at = this.#queue.indexOf(job)
    if (at >= 0) this.#queue.splice(at, 1)
    for (const seat of [...this.#seats]) if (seat.job === job) this.#end(seat)
    job.reject(reason)
    this.#fill()
  }

  #free (seat: Seat): void {
    seat.job = undefined
    seat.thread.hold(false)
  }

  #end (seat: Seat): void {
    this.#seats.delete(seat)
    seat.job = undefined
    seat.thread.stop()
  }
}
