/**
 * This module decodes tickets, and the contents of network files that relays send for a token. The
 * messages are those of `proto/peer/ticket.proto`.
 */

import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromMultihash } from '@libp2p/peer-id'
import * as Digest from 'multiformats/hashes/digest'
import { PeerworkError } from '../errors.js'
import { Fields } from '../fetch/protobuf.js'
import {
  NETWORK_ENTRIES_MAX, NETWORK_NAME_BYTES_MAX, NETWORK_SECRETS_MAX, SECRET_BYTES, TICKET_RELAYS_MAX
} from '../limits.js'
import { peersIn } from '../net/addresses.js'
import { NetworkSecret } from './secret.js'
import { readTicketText } from './ticket-text.js'

const TOKEN_ID_BYTES = 16
const MAC_BYTES = 32

/** The right to get the secrets of a network from one relay. */
export interface Token {
  /** The message that the relay gets. */
  message: Uint8Array
  /** The peer id of the only relay that redeems the token. */
  relay: string
  /** The end of the validity by the relay's clock, in seconds since 1970. */
  expires: number
  /** Whether only one node can redeem the token. */
  once: boolean
}

/** A network, as a ticket or a relay describes it. */
export interface NetworkFacts {
  /** The network's id as decimal text. */
  id: string
  name: string
  /** The multiaddrs of relays, each ending in `/p2p/<id>`. */
  relays: string[]
  /** The secrets, the newest first; none for a network without a secret. */
  secrets: NetworkSecret[]
}

/** The contents of a ticket. */
export interface Ticket extends NetworkFacts {
  /** A token, which stands in place of the secrets. */
  token?: Token
}

/**
 * Finds the ticket in a text and decodes it.
 *
 * @throws PeerworkError `invalid-argument` with advice; the message does not repeat the text.
 */
export function parseTicket (text: string): Ticket {
  const payload = readTicketText(text)
  try {
    return ticketOf(new Fields(payload))
  } catch (cause) {
    const why = cause instanceof PeerworkError ? cause.message : 'its contents have another form'
    throw new PeerworkError('invalid-argument', `the ticket is not valid: ${why}; ask for another`)
  }
}

function ticketOf (fields: Fields): Ticket {
  const token = fields.bytes(5)
  const facts: NetworkFacts = {
    id: fields.integer(1).toString(),
    name: nameOf(fields, 2),
    relays: addressesOf(fields.allBytes(3), TICKET_RELAYS_MAX),
    secrets: secretsOf(fields.allBytes(4))
  }
  if (token === undefined) return facts
  if (facts.secrets.length > 0) throw malformed('it carries a token and secrets')
  const parsed = tokenOf(token)
  if (!facts.relays.some((address) => address.endsWith(`/p2p/${parsed.relay}`))) {
    throw malformed(`it has no address of the relay ${parsed.relay}, which alone redeems it`)
  }
  return { ...facts, token: parsed }
}

function tokenOf (message: Uint8Array): Token {
  const fields = new Fields(message)
  const sizes = [[fields.bytes(1), TOKEN_ID_BYTES], [fields.bytes(5), MAC_BYTES]] as const
  for (const [bytes, size] of sizes) {
    if (bytes?.byteLength !== size) throw malformed(`its token has a part of ${bytes?.byteLength ?? 0} bytes and not ${size}`)
  }
  const relay = fields.bytes(2)
  return {
    message,
    relay: relayOf(relay),
    expires: fields.number(3),
    once: fields.number(4) !== 0
  }
}

function relayOf (bytes: Uint8Array | undefined): string {
  try {
    return peerIdFromMultihash(Digest.decode(bytes ?? new Uint8Array(0))).toString()
  } catch {
    throw malformed('its token names no relay')
  }
}

/**
 * Decodes the message `Network`.
 *
 * @throws PeerworkError `bad-answer`.
 */
export function parseNetwork (message: Uint8Array): NetworkFacts {
  const fields = new Fields(message)
  return {
    id: fields.integer(2).toString(),
    name: nameOf(fields, 1),
    relays: addressesOf(fields.allBytes(4), NETWORK_ENTRIES_MAX),
    secrets: secretsOf(fields.allBytes(5))
  }
}

function nameOf (fields: Fields, tag: number): string {
  const bytes = fields.bytes(tag)?.byteLength ?? 0
  if (bytes > NETWORK_NAME_BYTES_MAX) {
    throw malformed(`a name has at most ${NETWORK_NAME_BYTES_MAX} bytes, this one ${bytes}`)
  }
  return fields.text(tag)
}

function addressesOf (all: Uint8Array[], max: number): string[] {
  if (all.length > max) throw malformed(`it names ${all.length} nodes and not at most ${max}`)
  return all.map((bytes) => {
    try {
      const address = multiaddr(bytes)
      const last = address.getComponents().at(-1)
      if (last?.name === 'p2p' && peersIn(address).length > 0) return address.toString()
    } catch {}
    throw malformed('it has an address that is none of a relay')
  })
}

function secretsOf (all: Uint8Array[]): NetworkSecret[] {
  if (all.length > NETWORK_SECRETS_MAX) {
    throw malformed(`it has ${all.length} secrets and not at most ${NETWORK_SECRETS_MAX}`)
  }
  return all.map((bytes) => {
    if (bytes.byteLength !== SECRET_BYTES) throw malformed(`a secret has not ${SECRET_BYTES} bytes`)
    return NetworkSecret.from(bytes)
  })
}

function malformed (why: string): PeerworkError {
  return new PeerworkError('bad-answer', why)
}
