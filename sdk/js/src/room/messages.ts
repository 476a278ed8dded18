/**
 * This module sends direct messages to a peer; each message has a stream of its own and is
 * acknowledged.
 */

import { PeerworkError, asError } from '../errors.js'
import { callSafely } from '../events.js'
import { MESSAGE_BYTES_MAX } from '../limits.js'
import { encodeFrame, readFrame } from '../stream/frames.js'
import { StreamReader } from '../stream/reader.js'
import { endWriting, writeAll } from '../stream/writer.js'
import { withDeadline } from '../time.js'
import { decodePayload } from './payload.js'
import type { Data } from './payload.js'
import type { Stream } from '@libp2p/interface'

/** A message from a peer. */
export interface PeerMessage {
  /** The peer id of the sender, proved by the connection's encryption. */
  from: string
  data: Data
}

export type MessageHandler = (message: PeerMessage) => void

/** The byte that acknowledges a message. */
const ACCEPTED = 0
const NO_HANDLER = 1
const MALFORMED = 2

/** The time that a sender has to send its message. */
const RECEIVE_DEADLINE_MS = 60_000

/** @internal */
export class Messages {
  readonly #handlers = new Set<MessageHandler>()

  onMessage (handler: MessageHandler): () => void {
    const own: MessageHandler = (message) => { handler(message) }
    this.#handlers.add(own)
    return () => { this.#handlers.delete(own) }
  }

  /** Receives a message on a stream that a peer opened. */
  async receive (stream: Stream, from: string): Promise<void> {
    try {
      await withDeadline({ ms: RECEIVE_DEADLINE_MS, late }, async (signal) => {
        const frame = await readFrame(new StreamReader(stream), MESSAGE_BYTES_MAX + 1, signal)
        const payload = decodePayload(frame)
        const answer = payload === undefined ? MALFORMED : this.#handlers.size === 0 ? NO_HANDLER : ACCEPTED
        if (payload !== undefined) {
          for (const handler of [...this.#handlers]) callSafely(handler, { from, data: payload.data })
        }
        await writeAll(stream, Uint8Array.of(answer), signal)
        await endWriting(stream, signal)
      })
    } catch (error) {
      stream.abort(asError(error))
    }
  }
}

/**
 * Sends an encoded message and waits until the peer has passed it to its handlers.
 *
 * @throws PeerworkError `not-supported` when the peer has no handler, `cut-off` when the stream
 * broke (the message may or may not have arrived).
 *
 * @internal
 */
export async function sendMessage (stream: Stream, payload: Uint8Array, signal: AbortSignal): Promise<void> {
  try {
    await writeAll(stream, encodeFrame(payload), signal)
    const answer = await new StreamReader(stream).byte(signal)
    if (answer === NO_HANDLER) throw new PeerworkError('not-supported', 'the peer takes no messages')
    if (answer !== ACCEPTED) throw new PeerworkError('bad-answer', `the peer answered ${answer} to a message`)
    void close(stream)
  } catch (error) {
    stream.abort(asError(error))
    throw error
  }
}

/**
 * Closes the stream without waiting: the message was acknowledged, so the end of the stream need
 * not be.
 */
async function close (stream: Stream): Promise<void> {
  try {
    await endWriting(stream, AbortSignal.timeout(RECEIVE_DEADLINE_MS))
  } catch (error) {
    stream.abort(asError(error))
  }
}

function late (): PeerworkError {
  return new PeerworkError('timeout', 'the message did not come in time')
}
