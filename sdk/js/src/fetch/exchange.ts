/** This module sends one HTTP request over one tunnel and reads the response. */

import { PeerworkError, asError } from '../errors.js'
import { endWriting, writeAll } from '../stream/writer.js'
import { orAborted } from '../time.js'
import { LAST_CHUNK, encodeChunk, encodeHead } from './request.js'
import { readBody, readHead } from './response-parser.js'
import type { OutgoingBody, OutgoingRequest } from './request.js'
import type { ResponseHead } from './response-parser.js'
import type { Tunnel } from './tunnel.js'
import type { Target } from './url.js'

/** The time that an app has to close the connection after its response. */
const CLOSE_DEADLINE_MS = 5_000

/** The head of a response, whose body is read later. */
export interface Exchange {
  head: ResponseHead
  /** Ends the tunnel when the body is not wanted. */
  abort: (reason: unknown) => void
  body: () => ReadableStream<Uint8Array>
}

/**
 * Sends a request and reads the head of the response. The body of the request is sent concurrently,
 * for as long as the body of the response is read.
 *
 * @param whole aborts the whole exchange, both bodies included
 */
export async function exchange (
  tunnel: Tunnel, request: OutgoingRequest, target: Target, whole: AbortSignal
): Promise<Exchange> {
  const { stream, reader } = tunnel
  const over = new AbortController()
  const signal = AbortSignal.any([whole, over.signal])
  const abort = (reason: unknown): void => {
    over.abort(reason)
    stream.abort(asError(reason))
  }
  try {
    await writeAll(stream, encodeHead(request, target), signal)
    const sending = sendBody(tunnel, request.body, signal)
    // An app may answer before it has read the whole request; errors of sending the rest are
    // ignored then.
    const head = await orFailed(readHead(reader, request.method, signal), sending)
    const body = (): ReadableStream<Uint8Array> => bodyOf(tunnel, head, signal, abort, () => { over.abort() })
    return { head, abort, body }
  } catch (error) {
    abort(error)
    whole.throwIfAborted()
    throw error
  }
}

/**
 * An error of the user's own body stream. It ends the call; an error of the tunnel shows when the
 * response is read.
 */
class SourceError extends Error {}

async function orFailed<T> (reading: Promise<T>, sending: Promise<void>): Promise<T> {
  const failed = new Promise<never>((_resolve, reject) => {
    sending.catch((error: unknown) => { if (error instanceof SourceError) reject(error.cause) })
  })
  return await Promise.race([reading, failed])
}

async function sendBody ({ stream }: Tunnel, body: OutgoingBody, signal: AbortSignal): Promise<void> {
  if (body.kind === 'bytes') await writeAll(stream, body.bytes, signal)
  if (body.kind !== 'stream') return
  const source = body.stream.getReader()
  try {
    for (;;) {
      const { done, value } = await orAborted(source.read(), signal).catch((cause: unknown) => {
        signal.throwIfAborted()
        throw new SourceError('the body could not be read', { cause })
      })
      if (done) break
      await writeAll(stream, encodeChunk(value), signal)
    }
    await writeAll(stream, LAST_CHUNK, signal)
  } catch (error) {
    source.cancel(error).catch(() => {})
    throw error
  }
}

function bodyOf (
  tunnel: Tunnel, head: ResponseHead, signal: AbortSignal,
  abort: (reason: unknown) => void, finished: () => void
): ReadableStream<Uint8Array> {
  const parts = readBody(tunnel.reader, head.framing, signal)
  return new ReadableStream<Uint8Array>({
    async pull (controller) {
      try {
        const { done, value } = await parts.next()
        if (done !== true) {
          controller.enqueue(value)
          return
        }
        controller.close()
        finished()
        void closeTunnel(tunnel)
      } catch (error) {
        abort(error)
        throw error
      }
    },
    cancel (reason) {
      abort(reason ?? new DOMException('the body was cancelled', 'AbortError'))
    }
  }, { highWaterMark: 0 })
}

/** Ends both directions; the stream is aborted when the app does not close. */
export async function closeTunnel ({ stream, reader }: Tunnel): Promise<void> {
  const signal = AbortSignal.timeout(CLOSE_DEADLINE_MS)
  try {
    await endWriting(stream, signal)
    while (await reader.read(signal) !== null);
  } catch {
    stream.abort(new PeerworkError('timeout', 'the app did not close', { side: 'app' }))
  }
}
