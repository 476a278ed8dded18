/** This module checks the options of `PeerworkNode.join`. */

import { platform } from '#platform'
import { PeerworkError } from './errors.js'
import { Identity } from './identity.js'
import { NETWORK_SECRETS_MAX, PEER_NAME_CHARS_MAX, RELAYS_MAX, STORAGE_NAME_CHARS_MAX } from './limits.js'
import { checkTokens } from './net/access.js'
import { parseSources } from './net/relay-sources.js'
import { NetworkSecret } from './network/secret.js'
import { parseTicket } from './network/ticket.js'
import { JOIN_NAMES, checkOptionNames } from './option-names.js'
import { namesOf } from './room/names.js'
import { fitsAsState } from './room/presence-message.js'
import type { Json } from './bytes.js'
import type { Tokens } from './net/access.js'
import type { RelaySources } from './net/relay-sources.js'
import type { Ticket } from './network/ticket.js'
import type { RoomNames } from './room/names.js'
import type { IceServer } from './ice.js'
import type { StateStorage } from './state/storage.js'

/** The options with which a node joins a room. */
export interface JoinOptions {
  /**
   * The relays: multiaddrs that end with `/p2p/<id>`, and http(s) URLs of a `relay-config.json`
   * (`{"bootstrapPeers": ["<multiaddr>", …]}`), which Peerwork's relays serve at
   * `/relay-config.json`. With several relays the room survives the loss of one. At most 8. A node
   * that joins with a `ticket` uses the relays in the ticket too, and may leave this list out.
   */
  relays?: string[]
  /**
   * The token of relays for members only (`peerwork relay --token`): one for all relays that
   * `relays` names, those that its URLs list included, or an object of tokens by the relays' peer
   * ids. The node sends it to no other node. Name the relays by https, by their addresses, or give
   * the tokens by peer id: an answer by http can be changed on its way, and list a relay of a
   * stranger.
   */
  token?: string | Record<string, string>
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
   * STUN and TURN servers for WebRTC connections between pages. By default a node takes those that
   * the `relay-config.json` of its relays names, at most 8. Without any, no third party is
   * contacted, and pages behind different routers stay on circuits.
   */
  iceServers?: IceServer[]
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
  /**
   * The storage of shared states, so that they outlive the page or process: in pages the name of an
   * IndexedDB database, which the tabs of one origin share; in Node.js the path of a folder, which
   * one process at a time uses; or a storage of the application. Default: states are not stored.
   */
  persist?: string | StateStorage
}

/** The options by which a node finds and enters a network. */
export type NetworkOptions = Pick<JoinOptions,
  'relays' | 'token' | 'secrets' | 'networkId' | 'ticket' | 'identity' | 'timeoutMs' | 'signal' | 'allowPrivateAddresses'>

/**
 * The options of the network after the checks.
 *
 * @internal
 */
export interface CheckedNetwork {
  sources: RelaySources
  tokens: Tokens
  identity: Identity
  timeoutMs: number
  signal: AbortSignal | undefined
  allowPrivateAddresses: boolean | undefined
  membership: { network: string, secrets: NetworkSecret[] }
}

/**
 * The options after the checks.
 *
 * @internal
 */
export interface CheckedOptions extends CheckedNetwork {
  names: RoomNames
  room: string
  name: string
  state: Json
  /** The servers that the user gave; `undefined` for those of the relays. */
  iceServers: IceServer[] | undefined
  listen: string[]
  storage: StateStorage | undefined
}

const TIMEOUT_MS = 15_000
const NETWORK_OPTIONS: ReadonlyArray<keyof NetworkOptions> = [
  'relays', 'token', 'secrets', 'networkId', 'ticket', 'identity', 'timeoutMs', 'signal', 'allowPrivateAddresses'
]
/** The names of all options of `PeerworkNode.join`. */
export const JOIN_OPTIONS: ReadonlyArray<keyof JoinOptions> = [
  'relays', 'room', 'name', 'state', 'iceServers', 'listen', 'persist', ...NETWORK_OPTIONS
]

/**
 * Checks the options.
 *
 * @throws PeerworkError `invalid-argument` naming the option.
 *
 * @internal
 */
export async function checkOptions (options: JoinOptions): Promise<CheckedOptions> {
  checkOptionNames(options, JOIN_OPTIONS, JOIN_NAMES)
  checkTransports(options)
  const names = namesOf(options.room)
  const name = checkName(options.name ?? '')
  const state = checkState(options.state ?? null)
  return {
    ...await checkNetwork(options),
    names,
    room: options.room,
    name,
    state,
    iceServers: options.iceServers,
    listen: options.listen ?? [...platform.listen],
    storage: checkStorage(options.persist)
  }
}

/**
 * Checks the options of the network.
 *
 * @throws PeerworkError `invalid-argument` naming the option.
 *
 * @internal
 */
export async function checkNetwork (options: NetworkOptions): Promise<CheckedNetwork> {
  checkOptionNames(options, NETWORK_OPTIONS, JOIN_NAMES)
  checkWaiting(options)
  const relays = checkRelays(options)
  const ticket = options.ticket === undefined ? undefined : checkTicket(options.ticket, options)
  const sources = parseSources(relays, ticket?.relays)
  return {
    sources,
    tokens: checkTokens(options.token),
    identity: options.identity ?? await Identity.generate(),
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    signal: options.signal,
    allowPrivateAddresses: options.allowPrivateAddresses,
    membership: ticket === undefined ? checkSecrets(options) : { network: ticket.id, secrets: ticket.secrets }
  }
}

function checkTransports ({ iceServers, listen }: JoinOptions): void {
  const isListOf = (list: unknown, type: string): boolean => Array.isArray(list) && list.every((entry) => typeof entry === type && entry !== null)
  if (iceServers !== undefined && !isListOf(iceServers, 'object')) {
    throw new PeerworkError('invalid-argument', "iceServers is a list of servers, such as [{ urls: 'stun:stun.example:3478' }]")
  }
  if (listen !== undefined && !isListOf(listen, 'string')) {
    throw new PeerworkError('invalid-argument', "listen is a list of addresses, such as ['/ip4/0.0.0.0/tcp/4001']")
  }
}

function checkWaiting ({ identity, timeoutMs, signal }: NetworkOptions): void {
  if (identity !== undefined && typeof (identity as Partial<Identity> | null)?.peerId !== 'string') {
    throw new PeerworkError('invalid-argument', "identity is an Identity, such as await Identity.stored('name')")
  }
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
    throw new PeerworkError('invalid-argument', 'timeoutMs is a number of milliseconds, 0 or more')
  }
  if (signal !== undefined && typeof (signal as Partial<AbortSignal> | null)?.throwIfAborted !== 'function') {
    throw new PeerworkError('invalid-argument', 'signal is an AbortSignal, such as controller.signal')
  }
}

const RELAYS_FORM = `give a list of 1 to ${RELAYS_MAX} relays, such as ` +
  "['https://relay.example'] or ['/dns4/relay.example/tcp/443/tls/ws/p2p/<id>']"

function checkRelays ({ relays, ticket }: NetworkOptions): string[] {
  const wrong = (what: string): PeerworkError => new PeerworkError('invalid-argument', `relays ${what}: ${RELAYS_FORM}`)
  if (relays === undefined || relays === null) {
    if (ticket === undefined) throw wrong('is missing')
    return []
  }
  if (!Array.isArray(relays)) throw wrong('is no list')
  if (relays.length > RELAYS_MAX) throw wrong(`has ${relays.length} entries`)
  if (relays.length === 0 && ticket === undefined) throw wrong('is empty')
  const odd = relays.findIndex((entry: unknown) => typeof entry !== 'string' || entry.trim() === '')
  if (odd >= 0) throw wrong(`has no text at position ${odd}`)
  return relays
}

function checkTicket (text: string, { secrets, networkId }: NetworkOptions): Ticket {
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

function checkSecrets ({ secrets = [], networkId }: NetworkOptions): CheckedOptions['membership'] {
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

function checkStorage (persist: string | StateStorage | undefined): StateStorage | undefined {
  if (persist === undefined) return undefined
  if (typeof persist === 'string') {
    if (persist === '' || persist.length > STORAGE_NAME_CHARS_MAX || persist.includes('\0')) {
      throw new PeerworkError('invalid-argument', `persist has 1 to ${STORAGE_NAME_CHARS_MAX} characters`)
    }
    return platform.stateStorage(persist)
  }
  const { load, save, close } = Object(persist) as Partial<StateStorage>
  if (typeof load !== 'function' || typeof save !== 'function' || !['function', 'undefined'].includes(typeof close)) {
    throw new PeerworkError('invalid-argument', 'persist is a name, or an object with the functions load and save')
  }
  return persist
}

/** @internal */
export function checkName (name: string): string {
  if (typeof name !== 'string' || name.length > PEER_NAME_CHARS_MAX) {
    throw new PeerworkError('invalid-argument', `a name has at most ${PEER_NAME_CHARS_MAX} characters`)
  }
  return name
}

/** @internal */
export function checkState (state: Json): Json {
  if (!fitsAsState(state)) {
    throw new PeerworkError('invalid-argument', 'a peer\'s state is JSON of at most 4 KiB')
  }
  return structuredClone(state)
}
