/**
 * `PeerFrames` reads and writes frames on a stream of `PeerworkNode`: a length in four bytes,
 * big-endian, then that many bytes. A stream on which no byte moves for three minutes is aborted.
 */

import { PeerworkError } from '../errors.js'
import { EMPTY, concat } from '../bytes.js'
import { encodeFrame } from '../stream/frames.js'
import type { PeerStream } from '../stream/peer-stream.js'

/**
 * The time in which a stream must carry the next piece. A peer answers when it has read all that was
 * sent, of which streams and sockets hold some MiB back: minutes on a slow link.
 */
const IDLE_MS = 180_000
/** The bytes that are written at once. */
const PIECE_BYTES = 64 * 1024

export class PeerFrames {
  readonly #stream: PeerStream
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>
  #rest: Uint8Array = EMPTY

  private constructor (stream: PeerStream) {
    this.#stream = stream
    this.#reader = stream.readable.getReader()
    this.#writer = stream.writable.getWriter()
    // The failure is thrown by the read or write that notices it.
    for (const { closed } of [this.#reader, this.#writer]) closed.catch(() => {})
  }

  /** Runs work on a stream, and ends the stream: gracefully, or by an abort when the work failed. */
  static async use<T> (stream: PeerStream, work: (frames: PeerFrames) => Promise<T>): Promise<T> {
    const frames = new PeerFrames(stream)
    try {
      const result = await work(frames)
      await frames.#end()
      return result
    } catch (error) {
      stream.abort(error)
      throw error
    }
  }

  /**
   * Reads a frame.
   *
   * @throws PeerworkError `bad-answer` for a frame above `bytesMax`, before its bytes are read;
   * `cut-off`, `timeout`.
   */
  async read (bytesMax: number): Promise<Uint8Array> {
    const head = await this.#exactly(4)
    const size = new DataView(head.buffer, head.byteOffset).getUint32(0)
    if (size > bytesMax) {
      throw new PeerworkError('bad-answer', `a frame of ${size} bytes exceeds the limit of ${bytesMax}`)
    }
    return await this.#exactly(size)
  }

  /** Writes frames one after the other. */
  async write (...payloads: Uint8Array[]): Promise<void> {
    for (const payload of payloads) {
      const frame = encodeFrame(payload)
      for (let offset = 0; offset < frame.byteLength; offset += PIECE_BYTES) {
        await this.#inTime(this.#writer.write(frame.subarray(offset, offset + PIECE_BYTES)))
      }
    }
  }

  /** Closes the writing side, and waits until the peer has closed its own. */
  async #end (): Promise<void> {
    await this.#inTime(this.#writer.close())
    const { done } = await this.#inTime(this.#reader.read())
    if (!done) this.#stream.abort(new Error('the peer sent more than was asked for'))
  }

  async #exactly (size: number): Promise<Uint8Array> {
    const parts = [this.#rest.subarray(0, size)]
    let missing = size - Math.min(size, this.#rest.byteLength)
    this.#rest = this.#rest.subarray(size)
    while (missing > 0) {
      const { value, done } = await this.#inTime(this.#reader.read())
      if (done) throw new PeerworkError('cut-off', `the stream ended ${missing} bytes too early`)
      parts.push(value.subarray(0, missing))
      this.#rest = value.subarray(missing)
      missing -= Math.min(missing, value.byteLength)
    }
    return concat(parts)
  }

  async #inTime<T> (work: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined
    try {
      return await Promise.race([work, new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => { reject(new PeerworkError('timeout', 'the peer stopped in the middle')) }, IDLE_MS)
      })])
    } finally {
      clearTimeout(timer)
    }
  }
}
