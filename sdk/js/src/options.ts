/** This module checks the options of `PeerworkNode.join`. */

import { platform } from '#platform'
import { PeerworkError } from './errors.js'
import { Identity } from './identity.js'
import { NETWORK_SECRETS_MAX, PEER_NAME_CHARS_MAX, RELAYS_MAX } from './limits.js'
import { parseSources } from './net/relay-sources.js'
import { NetworkSecret } from './network/secret.js'
import { parseTicket } from './network/ticket.js'
import { namesOf } from './room/names.js'
import { fitsAsState } from './room/presence-message.js'
import type { Json } from './bytes.js'
import type { RelaySources } from './net/relay-sources.js'
import type { Ticket } from './network/ticket.js'
import type { RoomNames } from './room/names.js'

/** The options with which a node joins a room. */
export interface JoinOptions {
  /**
   * The relays: multiaddrs that end with `/p2p/<id>`, and http(s) URLs of a `relay-config.json`
   * (`{"bootstrapPeers": ["<multiaddr>", …]}`), which Peerwork's relays serve at
   * `/relay-config.json`. With several relays the room survives the loss of one. At most 8. A node
   * that joins with a `ticket` uses the relays in the ticket too, and may leave this list out.
   */
  relays?: string[]
  /** The room: 1 to 96 characters after percent-encoding. Members of one room find each other. */
  room: string
  /**
   * The secrets of a network that has a secret, as text (`pws_…`), the newest first; at most 2. The
   * node proves them to every node that it connects to, and closes connections to nodes that cannot
   * prove one of them.
   */
  secrets?: string[]
  /** The id of the network, which a node with `secrets` needs. */
  networkId?: number | bigint | string
  /**
   * A ticket (`peerwork1…`) of the network, in place of `secrets` and `networkId`. A ticket that is
   * valid once or for a limited time must be redeemed with `redeemTicket` first.
   */
  ticket?: string
  /** The key pair of this node; default: a new identity. */
  identity?: Identity
  /** A display name, at most 64 characters. Any peer may use any name, so trust only peer ids. */
  name?: string
  /** The `state` that other members see of this peer: JSON, at most 4 KiB. */
  state?: Json
  /**
   * The time to wait for the first relay; default 15 s. With 0 the call does not wait: the node
   * starts without a relay and connects when it can.
   */
  timeoutMs?: number
  /** Ends the join; the call then rejects with the signal's own reason. */
  signal?: AbortSignal
  /**
   * STUN and TURN servers for WebRTC connections between pages. The default is none, so that no
   * third party is contacted; pages behind different routers then stay on circuits.
   */
  iceServers?: RTCIceServer[]
  /**
   * The addresses to listen on, for Node.js; default `['/ip4/0.0.0.0/tcp/0']`. The members of the
   * room learn these addresses. With `[]` the node listens nowhere, and others reach it through
   * relays.
   */
  listen?: string[]
  /**
   * Whether private addresses that other peers announce may be dialled. By default they may only
   * when one of the relays has a private address itself.
   */
  allowPrivateAddresses?: boolean
}

/** The options after the checks. */
export interface CheckedOptions {
  sources: RelaySources
  names: RoomNames
  room: string
  identity: Identity
  name: string
  state: Json
  timeoutMs: number
  signal: AbortSignal | undefined
  iceServers: RTCIceServer[]
  listen: string[]
  allowPrivateAddresses: boolean | undefined
  membership: { network: string, secrets: NetworkSecret[] }
}

const TIMEOUT_MS = 15_000

/**
 * Checks the options.
 *
 * @throws PeerworkError `invalid-argument` naming the option.
 */
export async function checkOptions (options: JoinOptions): Promise<CheckedOptions> {
  const relays = options.relays ?? []
  if (!Array.isArray(relays) || relays.length > RELAYS_MAX) {
    throw new PeerworkError('invalid-argument', `relays is a list of at most ${RELAYS_MAX} entries`)
  }
  const ticket = options.ticket === undefined ? undefined : checkTicket(options.ticket, options)
  const sources = parseSources(relays, ticket?.relays)
  const names = namesOf(options.room)
  const name = checkName(options.name ?? '')
  const state = checkState(options.state ?? null)
  return {
    sources,
    names,
    room: options.room,
    identity: options.identity ?? await Identity.generate(),
    name,
    state,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    signal: options.signal,
    iceServers: options.iceServers ?? [],
    listen: options.listen ?? [...platform.listen],
    allowPrivateAddresses: options.allowPrivateAddresses,
    membership: ticket === undefined ? checkSecrets(options) : { network: ticket.id, secrets: ticket.secrets }
  }
}

function checkTicket (text: string, { secrets, networkId }: JoinOptions): Ticket {
  if (secrets !== undefined || networkId !== undefined) {
    throw new PeerworkError('invalid-argument', 'give a ticket, or secrets and networkId, and not both')
  }
  const ticket = parseTicket(text)
  if (ticket.token !== undefined) {
    throw new PeerworkError('invalid-argument', 'the ticket is valid once or for a limited time: ' +
      'exchange it by redeemTicket, and keep the result for later joins')
  }
  return ticket
}

function checkSecrets ({ secrets = [], networkId }: JoinOptions): CheckedOptions['membership'] {
  if (!Array.isArray(secrets) || secrets.length > NETWORK_SECRETS_MAX) {
    throw new PeerworkError('invalid-argument', `secrets is a list of at most ${NETWORK_SECRETS_MAX} entries`)
  }
  if (secrets.length > 0 && networkId === undefined) {
    throw new PeerworkError('invalid-argument', 'secrets need the networkId of the network')
  }
  return {
    network: networkId === undefined ? '' : checkNetworkId(networkId),
    secrets: secrets.map((secret) => NetworkSecret.parse(secret))
  }
}

/** The network's id as decimal text; it is a signed integer of 64 bits. */
function checkNetworkId (id: number | bigint | string): string {
  const isWhole = typeof id === 'bigint' || Number.isSafeInteger(id) ||
    (typeof id === 'string' && /^-?\d{1,19}$/.test(id))
  const value = isWhole ? BigInt(id) : undefined
  if (value === undefined || BigInt.asIntN(64, value) !== value) {
    throw new PeerworkError('invalid-argument', 'networkId is an integer of 64 bits: give one above 2^53 as text or bigint')
  }
  return value.toString()
}

export function checkName (name: string): string {
  if (typeof name !== 'string' || name.length > PEER_NAME_CHARS_MAX) {
    throw new PeerworkError('invalid-argument', `a name has at most ${PEER_NAME_CHARS_MAX} characters`)
  }
  return name
}

export function checkState (state: Json): Json {
  if (!fitsAsState(state)) {
    throw new PeerworkError('invalid-argument', 'a peer\'s state is JSON of at most 4 KiB')
  }
  return structuredClone(state)
}
