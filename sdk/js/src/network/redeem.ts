/**
 * This module turns a ticket into the options with which a node joins the network. A token is shown
 * to its relay on `/peerwork/join/1`, by a libp2p node of its own that ends afterwards.
 */

import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { transports } from '#transports'
import { PeerworkError, asError, messageOf } from '../errors.js'
import { Fields, bytesField } from '../fetch/protobuf.js'
import { readAccepted } from '../fetch/tunnel.js'
import { NETWORK_FILE_BYTES_MAX, RELAYS_MAX } from '../limits.js'
import { dialable, idOf } from '../net/relay-sources.js'
import { Membership } from '../net/membership.js'
import { encodeFrame, readFrame } from '../stream/frames.js'
import { StreamReader } from '../stream/reader.js'
import { endWriting, writeAll } from '../stream/writer.js'
import { withDeadline } from '../time.js'
import { parseNetwork, parseTicket } from './ticket.js'
import type { Identity } from '../identity.js'
import type { ErrorCode } from '../errors.js'
import type { MembershipComponents } from '../net/membership.js'
import type { NetworkFacts, Token } from './ticket.js'
import type { Connection, PeerId, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'

const JOIN_PROTOCOL = '/peerwork/join/1'
const TIMEOUT_MS = 30_000

/** The options of `PeerworkNode.join` that a ticket gives. They hold the secrets of the network. */
export interface NetworkAccess {
  /** The network's id as decimal text. */
  networkId: string
  /** The name of the network. */
  networkName: string
  /** The secrets of the network as text, the newest first; none for a network without a secret. */
  secrets: string[]
  /** The relays that can be dialled from here, at most 8. */
  relays: string[]
}

/** Options of {@link redeemTicket}. */
export interface RedeemOptions {
  /**
   * The identity of the node that will join. A ticket that is valid once can be redeemed again by
   * the same identity only.
   */
  identity: Identity
  /** Further addresses of the relay that redeems the ticket, for example one for browsers. */
  relays?: string[]
  /** Aborts the call with the signal's own reason. */
  signal?: AbortSignal
  /** The time for the call; default 30 s. */
  timeoutMs?: number
}

/**
 * Turns a ticket into options of `PeerworkNode.join`. A ticket that is valid once or for a limited
 * time holds no secret: its relay is asked for the secrets. So keep the result, which is as secret as
 * the network's secret, for later joins.
 *
 * @throws PeerworkError `invalid-argument` for a text that is no ticket, `ticket-refused` with the
 * relay's reason, `not-supported` when the node redeems no tickets, `peer-busy`,
 * `relay-unreachable`, `timeout`, `cut-off`, `bad-answer`; the signal's reason.
 */
export async function redeemTicket (text: string, options: RedeemOptions): Promise<NetworkAccess> {
  const { token, ...ticket } = parseTicket(text)
  const known = [...options.relays ?? [], ...ticket.relays]
  if (token === undefined) return accessOf(ticket, known)
  const addresses = dialable(known).filter((address) => idOf(address) === token.relay)
  if (addresses.length === 0) {
    throw new PeerworkError('invalid-argument',
      `the ticket names no address of the relay ${token.relay} that can be dialled from here: give one in relays`)
  }
  const facts = await withDeadline({
    ms: options.timeoutMs ?? TIMEOUT_MS,
    signal: options.signal,
    late: () => new PeerworkError('timeout', 'the relay did not redeem the ticket in time: try again', { side: 'relay' })
  }, async (signal) => await asGuest(options.identity, async (libp2p) => {
    return await redeem(await dial(libp2p, addresses, signal), token, signal)
  }))
  if (facts.id !== ticket.id) {
    throw new PeerworkError('bad-answer', 'the relay sent the contents of another network', { side: 'relay' })
  }
  return accessOf(facts, [...known, ...facts.relays])
}

function accessOf (facts: NetworkFacts, relays: string[]): NetworkAccess {
  return {
    networkId: facts.id,
    networkName: facts.name,
    secrets: facts.secrets.map((secret) => secret.toText()),
    relays: [...new Set(dialable(relays).map(String))].slice(0, RELAYS_MAX)
  }
}

/** Runs work with a libp2p node that uses only protocols for guests. */
async function asGuest<T> (identity: Identity, work: (libp2p: Libp2p) => Promise<T>): Promise<T> {
  const libp2p = await createLibp2p({
    privateKey: identity.privateKey,
    addresses: { listen: [] },
    transports: [...transports({ iceServers: () => [] }), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      membership: (components: MembershipComponents & { peerId: PeerId }) => {
        return new Membership(components, { self: components.peerId, network: '', secrets: [], guest: true })
      },
      identify: identify({ runOnConnectionOpen: false })
    }
  })
  try {
    return await work(libp2p)
  } finally {
    await libp2p.stop()
  }
}

async function dial (libp2p: Libp2p, addresses: Multiaddr[], signal: AbortSignal): Promise<Connection> {
  try {
    return await libp2p.dial(addresses, { signal })
  } catch (cause) {
    signal.throwIfAborted()
    throw new PeerworkError('relay-unreachable', `the relay that redeems the ticket: ${messageOf(cause)}`, { cause })
  }
}

async function redeem (relay: Connection, token: Token, signal: AbortSignal): Promise<NetworkFacts> {
  const stream = await openJoin(relay, signal)
  try {
    const reader = new StreamReader(stream)
    await writeAll(stream, encodeFrame(bytesField(1, token.message)), signal)
    await endWriting(stream, signal)
    await readAccepted(reader, signal)
    return parseResponse(await readFrame(reader, NETWORK_FILE_BYTES_MAX, signal))
  } catch (error) {
    stream.abort(asError(error))
    if (error instanceof PeerworkError) throw new PeerworkError(error.code === 'edge-busy' ? 'peer-busy' : error.code, error.message, { cause: error, side: 'relay' })
    throw error
  }
}

async function openJoin (relay: Connection, signal: AbortSignal): Promise<Stream> {
  try {
    return await relay.newStream(JOIN_PROTOCOL, { signal })
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof Error && cause.name === 'UnsupportedProtocolError') {
      throw new PeerworkError('not-supported', 'the node that the ticket names redeems no tickets: ' +
        'it is not a relay, or its program is too old', { cause, side: 'relay' })
    }
    throw new PeerworkError('cut-off', `asking the relay to redeem the ticket: ${messageOf(cause)}`, { cause, side: 'relay' })
  }
}

const OTHER: [ErrorCode, string] = ['ticket-refused', 'the relay refuses the ticket for a reason that this program does not know']
const REASONS: Array<[ErrorCode, string]> = [
  OTHER,
  ['ticket-refused', 'the ticket was used by another node already: ask for another ticket'],
  ['ticket-refused', 'the ticket has expired: ask for another ticket'],
  ['ticket-refused', 'the relay does not know the ticket: it was changed, or the network\'s secret or the relay\'s key was changed since; ask for another ticket'],
  ['ticket-refused', 'the ticket was made for another relay'],
  ['peer-busy', 'the relay is busy: try again in a minute'],
  ['peer-busy', 'the relay cannot write down that the ticket is used, so it does not redeem it; its log says why']
]

/**
 * Decodes the relay's response.
 *
 * @throws PeerworkError the refusal, `bad-answer`.
 */
export function parseResponse (message: Uint8Array): NetworkFacts {
  const fields = new Fields(message)
  const network = fields.bytes(1)
  if (network !== undefined) return parseNetwork(network)
  const [code, text] = REASONS[fields.number(2)] ?? OTHER
  throw new PeerworkError(code, text, { side: 'relay' })
}
