/**
 * This module encodes and decodes the announcements of libp2p's pubsub peer discovery: the protobuf
 * message `Peer { bytes publicKey = 1; repeated bytes addrs = 2 }`.
 */

import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { concat } from '../bytes.js'
import { Fields, bytesField } from '../fetch/protobuf.js'
import { ADDRESS_CHARS_MAX, DISCOVERY_BYTES_MAX, PRESENCE_ADDRESSES_MAX } from '../limits.js'
import type { Message } from '@libp2p/gossipsub'
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Encodes the announcement of a node; `undefined` for an id that does not contain its key. */
export function encodeAnnouncement ({ publicKey }: PeerId, addresses: readonly Multiaddr[]): Uint8Array | undefined {
  if (publicKey === undefined) return undefined
  const told = addresses.slice(0, PRESENCE_ADDRESSES_MAX)
  return concat([bytesField(1, publicKeyToProtobuf(publicKey)), ...told.map(({ bytes }) => bytesField(2, bytes))])
}

/**
 * Decodes an announcement; `undefined` when it is malformed, or when its author announces another
 * node. Addresses that this library does not know are skipped.
 */
export function parseAnnouncement (message: Message): { peerId: string, multiaddrs: string[] } | undefined {
  if (message.type !== 'signed' || message.data.byteLength > DISCOVERY_BYTES_MAX) return undefined
  try {
    const fields = new Fields(message.data)
    const [key] = fields.allBytes(1)
    if (key === undefined) return undefined
    const peerId = peerIdFromPublicKey(publicKeyFromProtobuf(key)).toString()
    if (peerId !== message.from.toString()) return undefined
    const multiaddrs = fields.allBytes(2).slice(0, PRESENCE_ADDRESSES_MAX).flatMap((bytes) => addressText(bytes) ?? [])
    return { peerId, multiaddrs }
  } catch {
    return undefined
  }
}

function addressText (bytes: Uint8Array): string | undefined {
  try {
    const text = multiaddr(bytes).toString()
    return text.length <= ADDRESS_CHARS_MAX ? text : undefined
  } catch {
    return undefined
  }
}
