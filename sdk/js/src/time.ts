/** This module has helpers for time: a clock, deadlines, backoff and abort signals. */

import { PeerworkError } from './errors.js'

let latest = 0
let ahead = 0

/**
 * The time in milliseconds, by a clock that does not go back. It goes on where it was when the
 * system's clock is set back, so that no pause lasts until the system's clock is there again. It
 * jumps forward with the system's clock, as after the sleep of a computer.
 */
export function clock (): number {
  const time = Date.now() + ahead
  ahead += Math.max(0, latest - time)
  latest = Math.max(latest, time)
  return latest
}

/** Waits for a time; rejects with the signal's reason when the signal is aborted. */
export async function wait (ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(reasonOf(signal))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

function reasonOf (signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  return reason instanceof Error ? reason : new DOMException('aborted', 'AbortError')
}

/** Waits for a promise; rejects with the signal's reason when the signal is aborted first. */
export async function orAborted<T> (promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {})
    throw reasonOf(signal)
  }
  return await new Promise<T>((resolve, reject) => {
    const onAbort = (): void => { reject(reasonOf(signal)) }
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => { signal.removeEventListener('abort', onAbort) })
  })
}

/** The deadline of a {@link withDeadline} call. */
export interface Deadline {
  /** The time for the work. */
  ms: number
  /** The signal of the caller. */
  signal?: AbortSignal | undefined
  /** Creates the error that is thrown at the deadline. */
  late: () => PeerworkError
}

/**
 * Runs work that must end in time. The signal of the work is aborted at the deadline, and when the
 * caller's signal is aborted. An error that the work throws after that is replaced by the reason.
 */
export async function withDeadline<T> (
  deadline: Deadline, work: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  return await withProgress({ ...deadline, totalMs: deadline.ms }, work)
}

/** The deadline of a {@link withProgress} call, whose `ms` is the time until the first progress. */
export interface ProgressDeadline extends Deadline {
  /** The time for all work. */
  totalMs: number
}

/**
 * Runs work that must make progress: like {@link withDeadline}, but each call of `extend` moves the
 * deadline, at most to the end of `totalMs`.
 */
export async function withProgress<T> (
  deadline: ProgressDeadline, work: (signal: AbortSignal, extend: (ms: number) => void) => Promise<T>
): Promise<T> {
  deadline.signal?.throwIfAborted()
  const controller = new AbortController()
  const onAbort = (): void => { controller.abort(reasonOf(deadline.signal)) }
  deadline.signal?.addEventListener('abort', onAbort, { once: true })
  const end = clock() + deadline.totalMs
  const begin = (ms: number): ReturnType<typeof setTimeout> => {
    return setTimeout(() => { controller.abort(deadline.late()) }, Math.min(ms, end - clock()))
  }
  let timer = begin(deadline.ms)
  let isOver = false
  const extend = (ms: number): void => {
    // Work that was given up may go on for a moment.
    if (isOver) return
    clearTimeout(timer)
    timer = begin(ms)
  }
  try {
    return await orAborted(work(controller.signal, extend), controller.signal)
  } finally {
    isOver = true
    clearTimeout(timer)
    deadline.signal?.removeEventListener('abort', onAbort)
  }
}

/** Bounds of a {@link Backoff}. */
export interface BackoffBounds {
  /** The first pause. */
  minMs: number
  /** The longest pause. */
  maxMs: number
}

/**
 * Pauses that double with each failure. Each pause is shortened randomly by up to half, so that
 * nodes do not retry at the same time.
 */
export class Backoff {
  readonly #bounds: BackoffBounds
  #failures = 0

  constructor (bounds: BackoffBounds) {
    this.#bounds = bounds
  }

  get failures (): number {
    return this.#failures
  }

  /** Returns the pause after one more failure. */
  next (random: () => number = Math.random): number {
    const full = Math.min(this.#bounds.minMs * 2 ** this.#failures, this.#bounds.maxMs)
    this.#failures += 1
    return full * (0.5 + random() / 2)
  }

  reset (): void {
    this.#failures = 0
  }
}
