/** This module encodes application data: one byte for the kind of data, then the data. */

import { PeerworkError } from '../errors.js'
import { concat, isShallow, parseJson, textOf, utf8 } from '../bytes.js'
import { JSON_DEPTH_MAX } from '../limits.js'
import type { Json } from '../bytes.js'

/**
 * The data that an application can send. Bytes and strings arrive unchanged, all other values as
 * JSON. A string arrives as a string and is never parsed.
 */
export type Data = Uint8Array | Json

const BYTES = 0
const TEXT = 1
const JSON_VALUE = 2

/**
 * Encodes application data.
 *
 * @throws PeerworkError `invalid-argument` for values that JSON cannot represent, `too-large` above
 * `bytesMax`.
 */
export function encodePayload (data: Data, bytesMax: number): Uint8Array {
  const [kind, bytes] = kindAndBytes(data)
  if (bytes.byteLength > bytesMax) {
    throw new PeerworkError('too-large', `the data has ${bytes.byteLength} bytes where ${bytesMax} are allowed`)
  }
  return concat([Uint8Array.of(kind), bytes])
}

function kindAndBytes (data: Data): [number, Uint8Array] {
  if (data instanceof Uint8Array) return [BYTES, data]
  if (typeof data === 'string') return [TEXT, utf8(data)]
  let text: string | undefined
  try {
    text = JSON.stringify(data) as string | undefined
  } catch (cause) {
    throw new PeerworkError('invalid-argument', 'the data cannot be written as JSON', { cause })
  }
  if (text === undefined) throw new PeerworkError('invalid-argument', 'the data cannot be written as JSON')
  if (!isShallow(text)) {
    throw new PeerworkError('invalid-argument', `the data is nested deeper than ${JSON_DEPTH_MAX} levels`)
  }
  return [JSON_VALUE, utf8(text)]
}

/**
 * Decodes application data. The result is wrapped, because `null` is valid data; it is `undefined`
 * for malformed bytes.
 */
export function decodePayload (bytes: Uint8Array): { data: Data } | undefined {
  const body = bytes.subarray(1)
  switch (bytes[0]) {
    case BYTES:
      return { data: new Uint8Array(body) }
    case TEXT:
      try {
        return { data: textOf(body) }
      } catch {
        return undefined
      }
    case JSON_VALUE: {
      const data = parseJson(body)
      return data === undefined ? undefined : { data: data as Json }
    }
    default:
      return undefined
  }
}
