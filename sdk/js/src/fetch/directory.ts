/**
 * This module asks the directory of a relay for the addresses of a node. The messages are those of
 * `proto/peer/directory.proto`. Signatures are not checked here: an address is only a hint where to
 * dial, and the libp2p handshake proves the identity of the node.
 */

import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromMultihash, peerIdFromString } from '@libp2p/peer-id'
import * as Digest from 'multiformats/hashes/digest'
import { PeerworkError } from '../errors.js'
import { textOf } from '../bytes.js'
import { encodeFrame, readFrame } from '../stream/frames.js'
import { StreamReader } from '../stream/reader.js'
import { writeAll } from '../stream/writer.js'
import { Fields, bytesField } from './protobuf.js'
import { newStream, readAccepted } from './tunnel.js'
import type { Connection } from '@libp2p/interface'

const DIRECTORY_PROTOCOL = '/peerwork/directory/1'
const ADVERTISEMENT_TYPE = '/peerwork/directory/advertisement'
const RESPONSE_BYTES_MAX = 128 * 1024 + 2 * 64 * 1024 + 4096
const ADDRESSES_MAX = 16
const RELAYS_MAX = 4

/** The addresses of a node, as a directory knows them. */
export interface KnownAddresses {
  /** The relays at which the node holds a reservation, with an address of each. */
  relays: Array<{ id: string, address: string }>
  /** The addresses at which the node can be dialled directly. */
  addresses: string[]
}

/**
 * Looks up a node in the directory of a relay.
 *
 * @returns `undefined` when the directory does not list the node.
 * @throws PeerworkError `not-supported`, `edge-busy`, `bad-answer`, `cut-off`.
 */
export async function lookUp (
  relay: Connection, id: string, signal: AbortSignal
): Promise<KnownAddresses | undefined> {
  const stream = await newStream(relay, DIRECTORY_PROTOCOL, signal)
  try {
    const reader = new StreamReader(stream)
    await writeAll(stream, encodeFrame(encodeLookup(id)), signal)
    await readAccepted(reader, signal)
    return parseResponse(await readFrame(reader, RESPONSE_BYTES_MAX, signal), id)
  } finally {
    stream.close().catch((error) => { stream.abort(error as Error) })
  }
}

/** Encodes a request for the advertisement of a node. */
export function encodeLookup (id: string): Uint8Array {
  return bytesField(3, peerIdFromString(id).toMultihash().bytes)
}

/** Decodes the node's advertisement from a response. */
export function parseResponse (frame: Uint8Array, id: string): KnownAddresses | undefined {
  const response = new Fields(frame)
  const refused = response.bytes(2)
  if (refused !== undefined) {
    throw new PeerworkError('edge-busy', `the directory refused with reason ${new Fields(refused).number(1)}`,
      { side: 'relay' })
  }
  const chunk = response.bytes(3)
  if (chunk === undefined) {
    throw new PeerworkError('bad-answer', 'the directory answered nonsense', { side: 'relay' })
  }
  for (const envelope of new Fields(chunk).allBytes(1)) {
    const fields = new Fields(envelope)
    const [type, payload] = [fields.bytes(2), fields.bytes(3)]
    if (type === undefined || payload === undefined || textOf(type) !== ADVERTISEMENT_TYPE) continue
    return parseAdvertisement(payload, id)
  }
  return undefined
}

function parseAdvertisement (payload: Uint8Array, id: string): KnownAddresses | undefined {
  const advertisement = new Fields(payload)
  if (peerIdOf(advertisement.bytes(1)) !== id) return undefined
  const relays = advertisement.allBytes(9).slice(0, RELAYS_MAX).flatMap((held) => {
    const fields = new Fields(held)
    const relay = peerIdOf(fields.bytes(1))
    return relay === undefined ? [] : [{ id: relay, address: fields.text(2) }]
  })
  const addresses = advertisement.allBytes(10).slice(0, ADDRESSES_MAX).flatMap((bytes) => {
    try {
      return [multiaddr(bytes).toString()]
    } catch {
      return []
    }
  })
  return { relays, addresses }
}

function peerIdOf (bytes: Uint8Array | undefined): string | undefined {
  try {
    return bytes === undefined ? undefined : peerIdFromMultihash(Digest.decode(bytes)).toString()
  } catch {
    return undefined
  }
}
