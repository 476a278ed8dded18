/** Application data on the wire: one byte of kind, then the bytes. */

import { PeerworkError } from '../errors.js'
import { concat, parseJson, textOf, utf8 } from '../bytes.js'
import type { Json } from '../bytes.js'

/**
 * What can be sent: bytes and strings arrive as they are, everything else as JSON. A string arrives
 * as a string, never parsed.
 */
export type Data = Uint8Array | Json

const BYTES = 0
const TEXT = 1
const JSON_VALUE = 2

/**
 * @throws PeerworkError `invalid-argument` for what JSON cannot carry, `too-large` above `bytesMax`.
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
  return [JSON_VALUE, utf8(text)]
}

/** The data, wrapped because `null` is data too; `undefined` for bytes that are none. */
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
