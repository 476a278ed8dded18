/**
 * This module builds the script that runs one task in a thread. The script defines
 * `run(inputText)`, which resolves to the text of an {@link Outcome}, and an empty `answer` for
 * platforms that read the answer from there.
 */

import { isObject, isText } from '../bytes.js'
import type { Json } from '../bytes.js'

/** The outcome of a task in its thread. */
export type Outcome =
  | { ok: true, result: Json }
  | { ok: false, message: string }

const MESSAGE_CHARS_MAX = 500

export function taskScript (source: string): string {
  return `'use strict'
var answer
var run = (() => {
  const { parse, stringify } = JSON
  return async (inputText) => {
    try {
      const task = (${source}
)
      if (typeof task !== 'function') throw new TypeError('the source is no function')
      const result = await task(parse(inputText))
      return '{"ok":true,"result":' + (stringify(result) ?? 'null') + '}'
    } catch (error) {
      const message = String(error?.message ?? error).slice(0, ${MESSAGE_CHARS_MAX})
      return stringify({ ok: false, message })
    }
  }
})()
`
}

/** Parses the outcome that a thread posted; a task may have forged it. */
export function parseOutcome (answer: unknown, resultBytesMax: number): Outcome {
  if (typeof answer !== 'string' || answer === '') return failed('the task did not finish')
  // Each UTF-16 unit has at most three bytes in UTF-8; a text that is certainly too long is not
  // parsed.
  if (answer.length > resultBytesMax + MESSAGE_CHARS_MAX * 2) return failed('the result is too large')
  let value: unknown
  try {
    value = JSON.parse(answer)
  } catch {
    return failed('the task answered nonsense')
  }
  if (!isObject(value)) return failed('the task answered nonsense')
  if (value['ok'] === true) return { ok: true, result: (value['result'] ?? null) as Json }
  const { message } = value
  return failed(isText(message, MESSAGE_CHARS_MAX) ? message : 'the task failed')
}

function failed (message: string): Outcome {
  return { ok: false, message }
}
