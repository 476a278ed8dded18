/** This module opens and accepts streams of the room's protocols. */

import { PeerworkError, messageOf } from '../errors.js'
import { STREAMS_MAX } from '../limits.js'
import type { Reach } from '../net/reach.js'
import type { Roster } from './roster.js'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'

export type StreamTaker = (stream: Stream, from: string) => void | Promise<void>

export class Streams {
  readonly #libp2p: Libp2p
  readonly #reach: Reach
  readonly #roster: Roster

  constructor (libp2p: Libp2p, reach: Reach, roster: Roster) {
    this.#libp2p = libp2p
    this.#reach = reach
    this.#roster = roster
  }

  /**
   * Opens a stream on the best connection, or on the next connection when the best has just died.
   *
   * @throws PeerworkError `peer-unreachable`, `not-supported`; the signal's reason.
   */
  async open (peer: string, protocol: string, signal: AbortSignal): Promise<Stream> {
    const hints = this.#roster.get(peer)?.here.addresses ?? []
    let failure: unknown
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await this.#reach.connect(peer, hints, signal)
      for (const connection of this.#reach.open(peer)) {
        try {
          return await newStream(connection, protocol, signal)
        } catch (error) {
          signal.throwIfAborted()
          if (error instanceof PeerworkError) throw error
          failure = error
        }
      }
    }
    throw new PeerworkError('peer-unreachable', `${peer}: ${messageOf(failure)}`, { cause: failure })
  }

  /** Accepts streams of a protocol, also on circuits, until the returned function is called. */
  async take (protocol: string, taker: StreamTaker): Promise<() => Promise<void>> {
    await this.#libp2p.handle(protocol, (stream, connection) => {
      // The handler is not awaited, so that it cannot delay further streams.
      void taker(stream, connection.remotePeer.toString())
    }, { runOnLimitedConnection: true, maxInboundStreams: STREAMS_MAX, maxOutboundStreams: STREAMS_MAX })
    return async () => { await this.#libp2p.unhandle(protocol) }
  }
}

async function newStream (connection: Connection, protocol: string, signal: AbortSignal): Promise<Stream> {
  try {
    return await connection.newStream(protocol, {
      signal, runOnLimitedConnection: true, maxOutboundStreams: STREAMS_MAX
    })
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'UnsupportedProtocolError') {
      throw new PeerworkError('not-supported', `the peer does not speak ${protocol}`, { cause })
    }
    if (cause instanceof Error && /^TooMany\w+StreamsError$/.test(cause.name)) {
      throw new PeerworkError('peer-busy', `${STREAMS_MAX} streams to the peer are open`, { cause, side: 'us' })
    }
    throw cause
  }
}
