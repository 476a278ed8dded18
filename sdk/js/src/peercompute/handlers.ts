/** This module calls functions of programs, whose errors must not disturb the kernel. */

import { clock } from '../time.js'

/** Calls a handler; an error that it throws or rejects with is printed. */
export function callHandler<Args extends unknown[]> (name: string, handler: (...args: Args) => unknown, ...args: Args): void {
  try {
    const result = handler(...args)
    if (result instanceof Promise) result.catch((error: unknown) => { report(name, error) })
  } catch (error) {
    report(name, error)
  }
}

/** Calls a provider; returns `undefined` when it throws. */
export function callProvider<T> (name: string, provider: () => T): T | undefined {
  try {
    return provider()
  } catch (error) {
    report(name, error)
    return undefined
  }
}

/** The shortest time between two reports about one function, which may be called 60 times a second. */
const REPORT_GAP_MS = 5000
const NAMES_MAX = 1000
const reported = new Map<string, number>()

function report (name: string, error: unknown): void {
  const now = clock()
  if (now - (reported.get(name) ?? Number.NEGATIVE_INFINITY) < REPORT_GAP_MS) return
  if (reported.size >= NAMES_MAX) reported.clear()
  reported.set(name, now)
  console.error(`[peerwork] ${name} failed:`, error)
}
