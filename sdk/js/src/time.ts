/** Waiting: deadlines, backoff and signals. */

import { PeerworkError } from './errors.js'

/** Waits, or rejects with the signal's reason. */
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

/** A promise's value, or the signal's reason if that comes first. */
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

/** What {@link withDeadline} hands to its work. */
export interface Deadline {
  /** How long the work may take. */
  ms: number
  /** The caller's own signal. */
  signal?: AbortSignal | undefined
  /** What is thrown when the time is over. */
  late: () => PeerworkError
}

/**
 * Runs work that must end in time. The work's signal is aborted at the deadline, and when the
 * caller's own is; what the work throws after that is replaced by the reason.
 */
export async function withDeadline<T> (
  deadline: Deadline, work: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  deadline.signal?.throwIfAborted()
  const controller = new AbortController()
  const onAbort = (): void => { controller.abort(reasonOf(deadline.signal)) }
  deadline.signal?.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => { controller.abort(deadline.late()) }, deadline.ms)
  try {
    return await orAborted(work(controller.signal), controller.signal)
  } finally {
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

/** Pauses that double from failure to failure, each shortened by up to half so that nodes spread. */
export class Backoff {
  readonly #bounds: BackoffBounds
  #failures = 0

  constructor (bounds: BackoffBounds) {
    this.#bounds = bounds
  }

  get failures (): number {
    return this.#failures
  }

  /** The pause after one more failure. */
  next (random: () => number = Math.random): number {
    const full = Math.min(this.#bounds.minMs * 2 ** this.#failures, this.#bounds.maxMs)
    this.#failures += 1
    return full * (0.5 + random() / 2)
  }

  reset (): void {
    this.#failures = 0
  }
}
