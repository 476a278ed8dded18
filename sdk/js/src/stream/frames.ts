/**
 * This module reads and writes frames: a length in four bytes, big-endian, then that many bytes.
 */

import { PeerworkError } from '../errors.js'
import { concat, parseJson, utf8 } from '../bytes.js'
import { writeAll } from './writer.js'
import type { StreamReader } from './reader.js'
import type { Stream } from '@libp2p/interface'

export function encodeFrame (payload: Uint8Array): Uint8Array {
  const head = new Uint8Array(4)
  new DataView(head.buffer).setUint32(0, payload.byteLength)
  return concat([head, payload])
}

/**
 * Reads a frame.
 *
 * @throws PeerworkError `bad-answer` for a frame above `bytesMax`, before any byte of it is read.
 */
export async function readFrame (
  reader: StreamReader, bytesMax: number, signal: AbortSignal
): Promise<Uint8Array> {
  const head = await reader.exactly(4, signal)
  const size = new DataView(head.buffer, head.byteOffset).getUint32(0)
  if (size > bytesMax) {
    throw new PeerworkError('bad-answer', `a frame of ${size} bytes exceeds the limit of ${bytesMax}`)
  }
  return await reader.exactly(size, signal)
}

export async function writeJsonFrame (stream: Stream, value: unknown, signal: AbortSignal): Promise<void> {
  await writeAll(stream, encodeFrame(utf8(JSON.stringify(value))), signal)
}

/** Reads a frame as JSON; returns `undefined` when it is not JSON. */
export async function readJsonFrame (
  reader: StreamReader, bytesMax: number, signal: AbortSignal
): Promise<unknown> {
  return parseJson(await readFrame(reader, bytesMax, signal))
}
