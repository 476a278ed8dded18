/**
 * This module opens streams of `/peerwork/tunnel/1`. The edge sends one byte (accepted or busy),
 * this side sends one head, the edge sends one answer, and from then on the stream carries the
 * bytes of a connection to the app. The messages are those of `proto/peer/tunnel.proto`.
 */

import { PeerworkError, asError } from '../errors.js'
import { concat, utf8 } from '../bytes.js'
import { StreamReader } from '../stream/reader.js'
import { writeAll } from '../stream/writer.js'
import { Fields, bytesField, numberField, varint } from './protobuf.js'
import type { ErrorCode } from '../errors.js'
import type { Connection, Stream } from '@libp2p/interface'

export const TUNNEL_PROTOCOL = '/peerwork/tunnel/1'
/** The byte with which a Rust node accepts a stream of its own protocols. */
export const ACCEPTED = 0
export const BUSY = 1
const MESSAGE_BYTES_MAX = 1024
const KEY_BYTES_MAX = 256
const OPEN_DEADLINE_MAX_MS = 60_000

/** The first message of the opener, which names the app. */
export interface TunnelHead {
  /** The port of the app on the edge's machine. */
  port: number
  /** The time that the edge has to connect to the app, in milliseconds. */
  openDeadlineMs: number
  /** The bearer key of the edge. */
  key?: string | undefined
}

/** A stream that carries the bytes of a connection to the app. */
export interface Tunnel {
  stream: Stream
  reader: StreamReader
}

/** Encodes the head, preceded by its length. */
export function encodeHead (head: TunnelHead): Uint8Array {
  const key = head.key === undefined ? undefined : utf8(head.key)
  if (key !== undefined && key.byteLength > KEY_BYTES_MAX) {
    throw new PeerworkError('invalid-argument', `a key has at most ${KEY_BYTES_MAX} bytes`)
  }
  const message = concat([
    numberField(1, head.port),
    bytesField(2, crypto.getRandomValues(new Uint8Array(16))),
    numberField(3, Math.min(Math.ceil(head.openDeadlineMs), OPEN_DEADLINE_MAX_MS)),
    // The kind field is left out: kind 0 means HTTP, and protobuf omits zeros.
    ...(key === undefined ? [] : [bytesField(5, key)])
  ])
  return concat([varint(message.byteLength), message])
}

const REASONS: Array<[ErrorCode, string]> = [
  ['edge-refused', 'the edge did not understand the request'],
  ['port-not-allowed', 'the edge does not offer this port'],
  ['key-missing', 'the edge asks for a key'],
  ['key-invalid', 'the key is unknown, expired or revoked'],
  ['edge-refused', 'this node or key may not call this port'],
  ['app-unreachable', 'nothing answers at the port behind the edge'],
  ['app-timeout', 'the app took no connection in time'],
  ['edge-busy', 'the edge carries as many tunnels as it may'],
  ['edge-busy', 'the edge is stopping'],
  ['edge-refused', 'the app may have got the request already']
]

/**
 * Decodes the refusal from an answer, given without its length; `undefined` when the edge accepted
 * the tunnel.
 *
 * @throws PeerworkError `bad-answer`.
 */
export function decodeAnswer (message: Uint8Array): PeerworkError | undefined {
  const refused = new Fields(message).bytes(1)
  if (refused === undefined) return undefined
  const fields = new Fields(refused)
  const [code, text] = REASONS[fields.number(1)] ?? ['edge-refused', 'the edge refused'] as const
  return new PeerworkError(code, `${text}: ${fields.text(2)}`)
}

/**
 * Opens a tunnel to an app.
 *
 * @throws PeerworkError `not-supported` when the node is no edge, `edge-busy`, and the refusals of
 * the edge.
 */
export async function openTunnel (
  connection: Connection, head: TunnelHead, signal: AbortSignal
): Promise<Tunnel> {
  const stream = await newStream(connection, TUNNEL_PROTOCOL, signal)
  try {
    const reader = new StreamReader(stream)
    await writeAll(stream, encodeHead(head), signal)
    await readAccepted(reader, signal)
    const refusal = decodeAnswer(await readMessage(reader, signal))
    if (refusal !== undefined) throw refusal
    return { stream, reader }
  } catch (error) {
    stream.abort(asError(error))
    throw error
  }
}

/** Opens a stream of a protocol of the Rust node. */
export async function newStream (
  connection: Connection, protocol: string, signal: AbortSignal
): Promise<Stream> {
  try {
    return await connection.newStream(protocol, { signal, runOnLimitedConnection: true })
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof Error && cause.name === 'UnsupportedProtocolError') {
      throw new PeerworkError('not-supported', `the node does not speak ${protocol}`, { cause, side: 'edge' })
    }
    throw new PeerworkError('cut-off', `opening ${protocol} failed`, { cause, side: 'edge' })
  }
}

/** Reads the byte with which the node accepts or refuses the stream. */
export async function readAccepted (reader: StreamReader, signal: AbortSignal): Promise<void> {
  const answer = await reader.byte(signal)
  if (answer === ACCEPTED) return
  if (answer === BUSY) throw new PeerworkError('edge-busy', 'the node takes no more streams at this moment')
  throw new PeerworkError('bad-answer', `the node answered ${answer} to a new stream`, { side: 'edge' })
}

async function readMessage (reader: StreamReader, signal: AbortSignal): Promise<Uint8Array> {
  const first = await reader.byte(signal)
  // A varint of two bytes can express more than the limit, so no longer varint is read.
  const size = first < 0x80 ? first : (await reader.byte(signal)) * 0x80 + (first & 0x7f)
  if (size > MESSAGE_BYTES_MAX) {
    throw new PeerworkError('bad-answer', `an answer of ${size} bytes is too long`, { side: 'edge' })
  }
  return await reader.exactly(size, signal)
}
