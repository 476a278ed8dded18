/**
 * `Liveness` pings each connection at an interval, and ends a connection whose other end is gone.
 *
 * libp2p's own monitor ends a connection when an answer is late. On a slow link a large transfer
 * delays the answer, and the monitor would cut the transfer off again and again. So a connection
 * that brings bytes counts as alive here, whether an answer is among them or not.
 */

import { asError } from '../errors.js'
import { StreamReader } from '../stream/reader.js'
import { writeAll } from '../stream/writer.js'
import { clock, orAborted } from '../time.js'
import type { Connection, Libp2p } from '@libp2p/interface'

const PROTOCOL = '/ipfs/ping/1.0.0'
const PING_BYTES = 32
const INTERVAL_MS = 10_000
/** The time for an answer. */
const PATIENCE_MS = 5_000
/**
 * The time for which a connection may bring no bytes while bytes wait to be sent: the ping waits
 * behind them.
 */
const SENDING_PATIENCE_MS = 40_000

/** The parts of the transport below a connection that are used here; libp2p's types leave them out. */
interface Transport {
  writableNeedsDrain?: boolean
  addEventListener: (name: 'message', listener: (event: { data: { byteLength: number } }) => void) => void
  /** The connection of WebRTC, whose bytes are not messages of the transport. */
  peerConnection?: { getStats: () => Promise<Map<string, { type: string, bytesReceived?: number }>> }
}

interface Watched {
  transport: Transport | undefined
  /** The bytes that the transport brought as messages. */
  bytes: number
  /** The last time at which the connection was known to be alive. */
  aliveAt: number
  isPinging: boolean
}

export class Liveness {
  readonly #watched = new WeakMap<Connection, Watched>()
  readonly #timer: ReturnType<typeof setInterval>
  readonly #stopped = new AbortController()

  constructor (libp2p: Libp2p) {
    libp2p.addEventListener('connection:open', ({ detail }) => { this.#watch(detail) })
    libp2p.addEventListener('stop', () => { this.stop() })
    this.#timer = setInterval(() => {
      for (const connection of libp2p.getConnections()) void this.#check(connection)
    }, INTERVAL_MS)
  }

  stop (): void {
    clearInterval(this.#timer)
    this.#stopped.abort()
  }

  #watch (connection: Connection): Watched {
    const known = this.#watched.get(connection)
    if (known !== undefined) return known
    const { maConn: transport } = connection as unknown as { maConn?: Transport }
    const watched = { transport, bytes: 0, aliveAt: clock(), isPinging: false }
    this.#watched.set(connection, watched)
    transport?.addEventListener('message', ({ data }) => { watched.bytes += data.byteLength })
    return watched
  }

  async #check (connection: Connection): Promise<void> {
    const watched = this.#watch(connection)
    if (watched.isPinging) return
    watched.isPinging = true
    const before = await received(watched)
    try {
      await ping(connection, AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(PATIENCE_MS)]))
      watched.aliveAt = clock()
    } catch (error) {
      if (this.#stopped.signal.aborted) return
      if (await received(watched) > before) watched.aliveAt = clock()
      else if (!isSending(watched)) connection.abort(asError(error))
    } finally {
      watched.isPinging = false
    }
  }
}

/** Whether bytes wait to be sent, and the connection brought others not too long ago. */
function isSending ({ transport, aliveAt }: Watched): boolean {
  return transport?.writableNeedsDrain === true && clock() - aliveAt < SENDING_PATIENCE_MS
}

/** The bytes that a connection brought so far, those of WebRTC with its acknowledgements. */
async function received ({ transport, bytes }: Watched): Promise<number> {
  if (transport?.peerConnection === undefined) return bytes
  const stats = await transport.peerConnection.getStats().catch(() => undefined)
  return [...stats?.values() ?? []].reduce((sum, { type, bytesReceived }) => {
    return type === 'transport' ? sum + (bytesReceived ?? 0) : sum
  }, bytes)
}

/** Sends a ping and waits for its answer, or for the answer that the other side has no ping. */
async function ping (connection: Connection, signal: AbortSignal): Promise<void> {
  const opening = connection.newStream(PROTOCOL, { signal, runOnLimitedConnection: true })
  try {
    const stream = await orAborted(opening, signal)
    try {
      await writeAll(stream, crypto.getRandomValues(new Uint8Array(PING_BYTES)), signal)
      await new StreamReader(stream).exactly(PING_BYTES, signal)
      stream.close({ signal }).catch((error: Error) => { stream.abort(error) })
    } catch (error) {
      stream.abort(asError(error))
      throw error
    }
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'UnsupportedProtocolError') throw error
  }
}
