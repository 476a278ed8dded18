/** This module writes to a libp2p stream and waits while its buffer is full. */

import { PeerworkError, messageOf } from '../errors.js'
import { orAborted } from '../time.js'
import type { Stream } from '@libp2p/interface'

/**
 * The bytes passed to the stream at once; the piece is small, so that a full buffer is noticed
 * early.
 */
const PIECE_BYTES = 64 * 1024

/**
 * Writes all bytes.
 *
 * @throws PeerworkError `cut-off` when the stream is closed or breaks.
 */
export async function writeAll (stream: Stream, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength; offset += PIECE_BYTES) {
    await untilWritable(stream, signal)
    try {
      stream.send(bytes.subarray(offset, offset + PIECE_BYTES))
    } catch (error) {
      throw cutOff(error)
    }
  }
}

/**
 * Waits until the stream can be written to. `Stream.onDrain` of libp2p 3.3 cannot be used: after
 * the first drain it always resolves at once.
 */
async function untilWritable (stream: Stream, signal: AbortSignal): Promise<void> {
  while (stream.writableNeedsDrain) {
    if (stream.writeStatus !== 'writable') throw cutOff(new Error('it is closed for writing'))
    await orAborted(nextChange(stream), signal)
    // The stream sends its queue in a microtask after the event.
    await Promise.resolve()
  }
}

async function nextChange (stream: Stream): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const name of ['drain', 'idle', 'close'] as const) stream.removeEventListener(name, done)
      resolve()
    }
    for (const name of ['drain', 'idle', 'close'] as const) stream.addEventListener(name, done)
  })
}

/** Closes the writing side after all bytes were sent; the reading side stays open. */
export async function endWriting (stream: Stream, signal: AbortSignal): Promise<void> {
  try {
    await stream.close({ signal })
  } catch (error) {
    signal.throwIfAborted()
    throw cutOff(error)
  }
}

function cutOff (error: unknown): PeerworkError {
  return new PeerworkError('cut-off', `the stream was cut off: ${messageOf(error)}`, { cause: error })
}
