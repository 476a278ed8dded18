/** This module encodes and decodes a task and its answer: one JSON frame in each direction. */

import { isIntegerIn, isObject, isText } from '../bytes.js'
import {
  TASK_INPUT_BYTES_MAX, TASK_RESULT_BYTES_MAX, TASK_SOURCE_CHARS_MAX, TASK_TIMEOUT_MAX_MS
} from '../limits.js'
import type { Json } from '../bytes.js'

const VERSION = 1
const MESSAGE_CHARS_MAX = 500
/** The largest task frame. The source may need up to six bytes for each character in JSON. */
export const TASK_FRAME_BYTES_MAX = 6 * TASK_SOURCE_CHARS_MAX + TASK_INPUT_BYTES_MAX + 1024
export const ANSWER_FRAME_BYTES_MAX = TASK_RESULT_BYTES_MAX + 8 * 1024

/** A task for a peer. */
export interface Task {
  /** The source text of a function. */
  source: string
  /** The JSON of the function's argument. */
  input: string
  timeoutMs: number
}

/** The reason why a peer has no result. */
export type Failure =
  /** All workers and the whole queue of the peer are taken. */
  | 'busy'
  /** The peer runs no tasks of this node. */
  | 'refused'
  /** The task took too long. */
  | 'timeout'
  /** The task threw, or its result was too large. */
  | 'threw'

export type TaskAnswer =
  | { ok: true, result: Json }
  | { ok: false, failure: Failure, message: string }

const FAILURES: ReadonlySet<unknown> = new Set<Failure>(['busy', 'refused', 'timeout', 'threw'])

export function taskMessage (task: Task): object {
  return { v: VERSION, ...task }
}

export function parseTask (value: unknown): Task | undefined {
  if (!isObject(value) || value['v'] !== VERSION) return undefined
  const { source, input, timeoutMs } = value
  if (!isText(source, TASK_SOURCE_CHARS_MAX) || !isText(input, TASK_INPUT_BYTES_MAX)) return undefined
  return isIntegerIn(timeoutMs, 1, TASK_TIMEOUT_MAX_MS) ? { source, input, timeoutMs } : undefined
}

export function parseAnswer (value: unknown): TaskAnswer | undefined {
  if (!isObject(value)) return undefined
  const { ok, result, failure, message } = value
  if (ok === true && result !== undefined) return { ok, result: result as Json }
  if (ok !== false || !FAILURES.has(failure) || !isText(message, MESSAGE_CHARS_MAX)) return undefined
  return { ok, failure: failure as Failure, message }
}
