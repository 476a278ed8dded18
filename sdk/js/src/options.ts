/** This module checks the options of `PeerworkNode.join`. */

import { platform } from '#platform'
import { PeerworkError } from './errors.js'
import { Identity } from './identity.js'
import { PEER_NAME_CHARS_MAX, RELAYS_MAX } from './limits.js'
import { parseSources } from './net/relay-sources.js'
import { namesOf } from './room/names.js'
import { fitsAsState } from './room/presence-message.js'
import type { Json } from './bytes.js'
import type { RelaySources } from './net/relay-sources.js'
import type { RoomNames } from './room/names.js'

/** The options with which a node joins a room. */
export interface JoinOptions {
  /**
   * The relays: multiaddrs that end with `/p2p/<id>`, and http(s) URLs of a `relay-config.json`
   * (`{"bootstrapPeers": ["<multiaddr>", …]}`), which Peerwork's relays serve at
   * `/relay-config.json`. With several relays the room survives the loss of one. At most 8.
   */
  relays: string[]
  /** The room: 1 to 96 characters after percent-encoding. Members of one room find each other. */
  room: string
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
  iceServers: RTCIceServer[]
  listen: string[]
  allowPrivateAddresses: boolean | undefined
}

const TIMEOUT_MS = 15_000

/**
 * Checks the options.
 *
 * @throws PeerworkError `invalid-argument` naming the option.
 */
export async function checkOptions (options: JoinOptions): Promise<CheckedOptions> {
  if (!Array.isArray(options.relays) || options.relays.length > RELAYS_MAX) {
    throw new PeerworkError('invalid-argument', `relays is a list of at most ${RELAYS_MAX} entries`)
  }
  const sources = parseSources(options.relays)
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
    iceServers: options.iceServers ?? [],
    listen: options.listen ?? [...platform.listen],
    allowPrivateAddresses: options.allowPrivateAddresses
  }
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
