/** What `PeerworkNode.join` takes, checked. */

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

/** How a node joins a room. */
export interface JoinOptions {
  /**
   * Relays: multiaddrs that end with `/p2p/<id>`, and http(s) URLs that serve a `relay-config.json`
   * (`{"bootstrapPeers": ["<multiaddr>", …]}`), as Peerwork's relays do at `/relay-config.json`. More
   * than one makes the room survive the loss of one. At most 8.
   */
  relays: string[]
  /** The room: 1 to 96 characters after percent-encoding. Its members find each other. */
  room: string
  /** Who this node is; a new identity if not given. */
  identity?: Identity
  /** A name for people, at most 64 characters. Anybody may take any name: trust ids. */
  name?: string
  /** What the others see as this peer's `state`: JSON, at most 4 KiB. */
  state?: Json
  /**
   * How long to wait for a first relay; 15 s if not given. 0 does not wait: the node comes up without
   * a relay and connects when it can.
   */
  timeoutMs?: number
  /**
   * STUN and TURN servers for connections between pages. None if not given, so that nobody is asked
   * but the relays; pages behind different routers then stay on circuits.
   */
  iceServers?: RTCIceServer[]
  /**
   * Where to listen, for Node.js; `['/ip4/0.0.0.0/tcp/0']` if not given, and the members of the room
   * learn these addresses. `[]` listens nowhere: others reach the node over relays.
   */
  listen?: string[]
  /**
   * Whether addresses of private networks that others name may be dialled. If not given: only when
   * one of the relays has such an address itself.
   */
  allowPrivateAddresses?: boolean
}

/** Options that were checked. */
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

/** @throws PeerworkError `invalid-argument` naming the option. */
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
