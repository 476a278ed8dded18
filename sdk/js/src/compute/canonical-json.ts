/**
 * This module encodes each JSON value as exactly one text, so that results of different peers can
 * be compared.
 */

import { PeerworkError } from '../errors.js'

/** The deepest nesting of arrays and objects. */
const DEPTH_MAX = 128

/**
 * Encodes a value as JSON with sorted keys and no spaces. Numbers are written as in ECMAScript,
 * which RFC 8785 demands too.
 *
 * @throws PeerworkError `invalid-argument` for values that JSON cannot represent: functions,
 * `undefined` in an array, numbers that are not finite, cycles and more than 128 levels.
 */
export function canonicalJson (value: unknown): string {
  return write(value, 0)
}

function write (value: unknown, depth: number): string {
  if (depth > DEPTH_MAX) throw invalid(`it has more than ${DEPTH_MAX} levels`)
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw invalid(`${value} is no JSON`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(',')}]`
  if (typeof value !== 'object') throw invalid(`a ${typeof value} is no JSON`)
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  // Keys are sorted by UTF-16 units, as `sort` does and RFC 8785 demands.
  const sorted = fields.sort(([a], [b]) => a < b ? -1 : 1)
  return `{${sorted.map(([key, field]) => `${JSON.stringify(key)}:${write(field, depth + 1)}`).join(',')}}`
}

function invalid (why: string): PeerworkError {
  return new PeerworkError('invalid-argument', `the value cannot be written as JSON: ${why}`)
}
