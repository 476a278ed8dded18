/**
 * This module parses an HTTP/1.1 response (RFC 9112) from a byte stream. It is strict and refuses
 * every response that two parsers could read differently.
 */

import { PeerworkError } from '../errors.js'
import { HTTP_FIELDS_MAX, HTTP_HEAD_BYTES_MAX } from '../limits.js'

/** A source of bytes. */
export interface ByteSource {
  /** Returns the next bytes, or `null` at the end. */
  read: (signal: AbortSignal) => Promise<Uint8Array | null>
  /** Gives bytes back, which the next call of `read` returns. */
  unread: (bytes: Uint8Array) => void
}

/** The rule by which the end of a body is found. */
export type Framing =
  | { kind: 'none' }
  | { kind: 'length', bytes: number }
  | { kind: 'chunked' }
  | { kind: 'until-close' }

export interface ResponseHead {
  status: number
  statusText: string
  /** The names in lower case, in the order in which they were received. */
  fields: Array<[string, string]>
  framing: Framing
}

/** The largest number of informational (1xx) responses before the final response. */
const INFORMATIONAL_MAX = 16
/** The longest line before a chunk in bytes, extensions included. */
const CHUNK_LINE_BYTES_MAX = 4096
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/

/**
 * Reads the head of the final response.
 *
 * @throws PeerworkError `bad-answer` for bytes that are not an HTTP/1.1 response within the bounds,
 * `cut-off` when the stream ends before the head is complete.
 */
export async function readHead (
  source: ByteSource, method: string, signal: AbortSignal
): Promise<ResponseHead> {
  for (let count = 0; count < INFORMATIONAL_MAX; count += 1) {
    const lines = new Lines(source, HTTP_HEAD_BYTES_MAX)
    const [, status, statusText] = /^HTTP\/1\.[01] (\d{3})(?: ([^\0-\x08\x0a-\x1f\x7f]*))?$/
      .exec(await lines.next(signal)) ?? []
    if (status === undefined) throw bad('it does not begin with a status line')
    const fields = await readFields(lines, signal)
    const code = Number(status)
    if (code === 101 || code < 100 || code > 599) throw bad(`the status ${status} is not allowed here`)
    if (code < 200) continue
    return { status: code, statusText: statusText ?? '', fields, framing: framingOf(code, method, fields) }
  }
  throw bad('too many informational responses')
}

async function readFields (lines: Lines, signal: AbortSignal): Promise<Array<[string, string]>> {
  const fields: Array<[string, string]> = []
  for (;;) {
    const line = await lines.next(signal)
    if (line === '') return fields
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')
    if (colon < 1 || !TOKEN.test(name) || CONTROL.test(value)) throw bad('a header field is malformed')
    fields.push([name.toLowerCase(), value])
    if (fields.length > HTTP_FIELDS_MAX) throw bad('it has too many header fields')
  }
}

function framingOf (status: number, method: string, fields: Array<[string, string]>): Framing {
  const all = (wanted: string): string[] => {
    return fields.filter(([name]) => name === wanted).map(([, value]) => value)
  }
  if (method === 'HEAD' || status === 204 || status === 304) return { kind: 'none' }
  const encodings = all('transfer-encoding').join(',').toLowerCase().split(',')
    .map((one) => one.trim()).filter((one) => one !== '')
  const lengths = new Set(all('content-length').flatMap((value) => value.split(',')).map((one) => one.trim()))
  if (encodings.length > 0) {
    if (lengths.size > 0) throw bad('it has a length and a transfer encoding')
    if (encodings.length > 1 || encodings[0] !== 'chunked') throw bad('its transfer encoding is not supported')
    return { kind: 'chunked' }
  }
  if (lengths.size === 0) return { kind: 'until-close' }
  const [length] = lengths
  if (lengths.size > 1 || length === undefined || !/^\d{1,15}$/.test(length)) throw bad('its length is malformed')
  return { kind: 'length', bytes: Number(length) }
}

/**
 * Reads the body without its framing.
 *
 * @throws PeerworkError `cut-off` when the stream ends too early, `bad-answer` for malformed
 * chunks.
 */
export async function * readBody (
  source: ByteSource, framing: Framing, signal: AbortSignal
): AsyncGenerator<Uint8Array, void, undefined> {
  switch (framing.kind) {
    case 'none':
      return
    case 'length':
      yield * readLength(source, framing.bytes, signal)
      return
    case 'chunked':
      yield * readChunks(source, signal)
      return
    case 'until-close':
      for (;;) {
        const bytes = await source.read(signal)
        if (bytes === null) return
        yield bytes
      }
  }
}

async function * readLength (
  source: ByteSource, length: number, signal: AbortSignal
): AsyncGenerator<Uint8Array, void, undefined> {
  let missing = length
  while (missing > 0) {
    const bytes = await source.read(signal)
    if (bytes === null) throw cutOff(`its body ended ${missing} bytes too early`)
    source.unread(bytes.subarray(missing))
    const part = bytes.subarray(0, missing)
    missing -= part.byteLength
    yield part
  }
}

async function * readChunks (
  source: ByteSource, signal: AbortSignal
): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const line = await new Lines(source, CHUNK_LINE_BYTES_MAX).next(signal)
    const [, size] = /^([0-9A-Fa-f]{1,13})[ \t]*(?:;[^\0-\x08\x0a-\x1f\x7f]*)?$/.exec(line) ?? []
    if (size === undefined) throw bad('a chunk is malformed')
    const length = Number.parseInt(size, 16)
    if (length === 0) break
    yield * readLength(source, length, signal)
    if (await new Lines(source, 2).next(signal) !== '') throw bad('a chunk is longer than it says')
  }
  // Trailers are read, so that a cut-off stream is noticed, and then dropped, as `fetch` does.
  await readFields(new Lines(source, HTTP_HEAD_BYTES_MAX), signal)
}

/**
 * Reads lines that end with CR LF, or with LF alone as RFC 9112 allows, up to a number of bytes for
 * all lines together.
 */
class Lines {
  readonly #source: ByteSource
  #bytesLeft: number

  constructor (source: ByteSource, bytesMax: number) {
    this.#source = source
    this.#bytesLeft = bytesMax
  }

  async next (signal: AbortSignal): Promise<string> {
    let line = ''
    for (;;) {
      const bytes = await this.#source.read(signal)
      if (bytes === null) throw cutOff('it ended in the middle')
      const end = bytes.indexOf(0x0a)
      const part = end < 0 ? bytes : bytes.subarray(0, end + 1)
      this.#bytesLeft -= part.byteLength
      if (this.#bytesLeft < 0) throw bad('a part of it is too long')
      line += latin1(part)
      if (end < 0) continue
      this.#source.unread(bytes.subarray(end + 1))
      return line.replace(/\r?\n$/, '')
    }
  }
}

function latin1 (bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

function bad (why: string): PeerworkError {
  return new PeerworkError('bad-answer', `the app's answer is no HTTP/1.1 response: ${why}`, { side: 'app' })
}

function cutOff (why: string): PeerworkError {
  return new PeerworkError('cut-off', `the app's answer was cut off: ${why}`, { side: 'app' })
}
