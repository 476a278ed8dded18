/** `PeerStream` is a stream between two peers as a pair of Web streams. */

import { StreamReader } from './reader.js'
import { endWriting, writeAll } from './writer.js'
import type { Stream } from '@libp2p/interface'

/**
 * A stream to or from a peer. Each direction ends separately: closing `writable` tells the peer
 * that no more bytes come, and the peer may still answer. Read `readable` to its end or call {@link
 * PeerStream.abort}; otherwise the stream stays open.
 *
 * WebRTC has no backpressure: a writer does not notice a reader that stops reading, and the stream
 * is reset after 4 MiB of unread bytes. On circuits and TCP the writer waits.
 */
export interface PeerStream {
  /** The id of the peer, proved by the connection's encryption. */
  readonly peer: string
  /** The protocol's name, as given to `openStream` or `handleStream`. */
  readonly protocol: string
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
  /** Resets the stream in both directions; the peer sees an error. */
  abort: (reason?: unknown) => void
}

/** @internal */
export function peerStream (stream: Stream, peer: string, protocol: string): PeerStream {
  const reader = new StreamReader(stream)
  const never = new AbortController().signal
  const abort = (reason?: unknown): void => {
    stream.abort(reason instanceof Error ? reason : new Error('the stream was aborted'))
  }
  const readable = new ReadableStream<Uint8Array>({
    async pull (controller) {
      const chunk = await reader.read(never)
      if (chunk === null) controller.close()
      else controller.enqueue(chunk)
    },
    cancel (reason) {
      abort(reason)
    }
  }, { highWaterMark: 0 })
  const writable = new WritableStream<Uint8Array>({
    async write (chunk) {
      await writeAll(stream, chunk, never)
    },
    async close () {
      await endWriting(stream, never)
    },
    abort (reason) {
      abort(reason)
    }
  })
  return { peer, protocol, readable, writable, abort }
}
