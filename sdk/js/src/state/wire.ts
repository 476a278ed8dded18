/** This module encodes and decodes entries, and checks every entry that it receives. */

import { CLOCK_MAX } from './entries.js'
import { isPeerId } from '../net/addresses.js'
import { isIntegerIn, isObject, isShallow, isText, parseJson, utf8 } from '../bytes.js'
import { PUBLISH_BYTES_MAX, STATE_KEY_CHARS_MAX, STATE_VALUE_BYTES_MAX } from '../limits.js'
import type { Entry } from './entries.js'
import type { Json } from '../bytes.js'

const VERSION = 1
/** The bytes reserved for the JSON around the entries. */
const OVERHEAD_BYTES = 64

/** `[key, clock, author, value]`; the value is missing when the key was deleted. */
type EntryTuple = [string, number, string] | [string, number, string, Json]

export function toTuple (entry: Entry): EntryTuple {
  const { key, clock, author, value } = entry
  return value === undefined ? [key, clock, author] : [key, clock, author, value]
}

/** Decodes entries; `undefined` if one of them is malformed or out of bounds. */
export function parseTuples (value: unknown): Entry[] | undefined {
  if (!Array.isArray(value)) return undefined
  const entries: Entry[] = []
  for (const tuple of value) {
    const entry = parseTuple(tuple)
    if (entry === undefined) return undefined
    entries.push(entry)
  }
  return entries
}

/** Decodes one entry; `undefined` if it is malformed or out of bounds. */
export function parseTuple (tuple: unknown): Entry | undefined {
  if (!Array.isArray(tuple) || tuple.length < 3 || tuple.length > 4) return undefined
  const [key, clock, author, value] = tuple as unknown[]
  if (!isText(key, STATE_KEY_CHARS_MAX) || !isIntegerIn(clock, 1, CLOCK_MAX)) return undefined
  if (!isPeerId(author) || (tuple.length === 4 && !fitsAsValue(value))) return undefined
  return { key, clock, author, value: value as Json | undefined }
}

/** Whether a value is JSON within the limits of size and depth. */
export function fitsAsValue (value: unknown): boolean {
  try {
    const text = JSON.stringify(value) as string | undefined
    return text !== undefined && isShallow(text) && utf8(text).byteLength <= STATE_VALUE_BYTES_MAX
  } catch {
    return false
  }
}

/** Encodes entries as one or several messages of limited size. */
export function encodeUpdates (entries: readonly Entry[], bytesMax = PUBLISH_BYTES_MAX): Uint8Array[] {
  const messages: Uint8Array[] = []
  let tuples: string[] = []
  let bytes = OVERHEAD_BYTES
  const finish = (): void => {
    if (tuples.length > 0) messages.push(utf8(`{"v":${VERSION},"entries":[${tuples.join(',')}]}`))
    tuples = []
    bytes = OVERHEAD_BYTES
  }
  for (const entry of entries) {
    const text = JSON.stringify(toTuple(entry))
    const size = utf8(text).byteLength + 1
    if (bytes + size > bytesMax) finish()
    tuples.push(text)
    bytes += size
  }
  finish()
  return messages
}

/**
 * Decodes the entries of a message. On the gossip topic an author may send only entries of its own,
 * because the signature of the message proves only that author.
 */
export function parseUpdate (bytes: Uint8Array, author?: string): Entry[] | undefined {
  if (bytes.byteLength > PUBLISH_BYTES_MAX) return undefined
  const message = parseJson(bytes)
  if (!isObject(message) || message['v'] !== VERSION) return undefined
  const entries = parseTuples(message['entries'])
  if (author !== undefined && entries?.some((entry) => entry.author !== author) === true) return undefined
  return entries
}
