/**
 * `StreamReader` reads a libp2p stream by pulling. The stream is paused while no read is pending,
 * so that a slow reader slows the sender down where the transport can do so (yamux can; WebRTC
 * buffers up to 4 MiB and then resets the stream).
 */

import { PeerworkError, messageOf } from '../errors.js'
import { EMPTY, concat } from '../bytes.js'
import { orAborted } from '../time.js'
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'

/** The bytes buffered by the reader before the stream is paused. */
const BUFFER_BYTES_MAX = 256 * 1024

export class StreamReader {
  readonly #stream: Stream
  #chunks: Uint8Array[] = []
  #bytes = 0
  #ended = false
  #closed = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  constructor (stream: Stream) {
    this.#stream = stream
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('end', this.#onEnd)
    stream.addEventListener('close', this.#onClose)
    if (stream.readableEnded) this.#ended = true
    if (stream.status !== 'open' && stream.status !== 'closing') this.#closed = true
    if (stream.status === 'reset' || stream.status === 'aborted') this.#error = new Error(`it was ${stream.status}`)
  }

  readonly #onMessage = (event: StreamMessageEvent): void => {
    const { buffer, byteOffset, byteLength } = event.data.subarray()
    // In Node.js the bytes arrive as a `Buffer`, whose `slice` differs from that of `Uint8Array`.
    this.#push(new Uint8Array(buffer, byteOffset, byteLength))
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#wake?.()
  }

  readonly #onClose = (event: StreamCloseEvent): void => {
    this.#closed = true
    this.#error = event.error
    this.#wake?.()
  }

  #push (chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.byteLength
    if (this.#bytes > BUFFER_BYTES_MAX) this.#pause()
    this.#wake?.()
  }

  /**
   * Pauses the stream. A stream that is closing cannot be paused, and has no more bytes to hold
   * back.
   */
  #pause (): void {
    try {
      this.#stream.pause()
    } catch {}
  }

  #resume (): void {
    try {
      this.#stream.resume()
    } catch {}
  }

  /**
   * Returns the next bytes, or `null` at the end.
   *
   * @throws PeerworkError `cut-off` when the stream broke; the signal's reason when it is aborted.
   */
  async read (signal: AbortSignal): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) {
        this.#bytes -= chunk.byteLength
        return chunk
      }
      this.#resume()
      if (this.#chunks.length > 0) continue
      if (this.#ended || this.#closed) {
        if (await this.#givenBack()) continue
        if (this.#error !== undefined) throw cutOff(this.#error)
        return null
      }
      await orAborted(new Promise<void>((resolve) => { this.#wake = resolve }), signal)
    }
  }

  /**
   * Whether bytes arrived after the end. libp2p returns the bytes that the protocol negotiation
   * read too far later, by a timer, so that the end of the stream may be reported before them.
   */
  async #givenBack (): Promise<boolean> {
    if (this.#stream.readBufferLength === 0) return false
    await new Promise<void>((resolve) => { setTimeout(resolve, 0) })
    return this.#chunks.length > 0
  }

  /** Gives bytes back, which the next read returns. */
  unread (chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.#chunks.unshift(chunk)
    this.#bytes += chunk.byteLength
  }

  /**
   * Reads exactly `size` bytes.
   *
   * @throws PeerworkError `cut-off` when the stream ends earlier.
   */
  async exactly (size: number, signal: AbortSignal): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let missing = size
    while (missing > 0) {
      const chunk = await this.read(signal)
      if (chunk === null) throw cutOff(new Error(`the stream ended ${missing} bytes too early`))
      parts.push(chunk.subarray(0, missing))
      this.unread(chunk.subarray(missing))
      missing -= Math.min(missing, chunk.byteLength)
    }
    return parts.length === 1 ? parts[0] ?? EMPTY : concat(parts)
  }

  async byte (signal: AbortSignal): Promise<number> {
    return (await this.exactly(1, signal))[0] ?? 0
  }
}

function cutOff (error: Error): PeerworkError {
  return new PeerworkError('cut-off', `the stream was cut off: ${messageOf(error)}`, { cause: error })
}
