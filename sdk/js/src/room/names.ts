/**
 * This module derives the names of topics and protocols from the name of a room. Each room has
 * names of its own, so that a member receives no messages of other rooms, and peers of different
 * rooms have no protocol in common.
 */

import { PeerworkError } from '../errors.js'
import { NAME_CHARS_MAX, ROOM_CHARS_MAX } from '../limits.js'

export interface RoomNames {
  readonly presenceTopic: string
  topic: (name: string) => string
  stateTopic: (name: string) => string
  /** The name of a state in a storage. */
  storedState: (name: string) => string
  readonly messageProtocol: string
  readonly stateProtocol: string
  readonly computeProtocol: string
  appProtocol: (name: string) => string
}

/**
 * Derives the names of a room.
 *
 * @throws PeerworkError `invalid-argument` for an empty name and for a name that is too long.
 */
export function namesOf (room: string): RoomNames {
  const escaped = escapedName('room', room, ROOM_CHARS_MAX)
  const topics = `peerwork/room/${escaped}`
  const protocols = `/peerwork/room/1/${escaped}`
  return {
    presenceTopic: `${topics}/presence`,
    topic: (name) => `${topics}/topic/${escapedName('topic', name, NAME_CHARS_MAX)}`,
    stateTopic: (name) => `${topics}/state/${escapedName('state', name, NAME_CHARS_MAX)}`,
    storedState: (name) => `${escaped}/${escapedName('state', name, NAME_CHARS_MAX)}`,
    messageProtocol: `${protocols}/message`,
    stateProtocol: `${protocols}/state`,
    computeProtocol: `${protocols}/compute`,
    appProtocol: (name) => `${protocols}/app/${escapedName('protocol', name, NAME_CHARS_MAX)}`
  }
}

/** Escapes a name, so that it cannot contain the separator of topic names. */
function escapedName (kind: string, name: string, max: number): string {
  const escaped = typeof name === 'string' && name.isWellFormed() ? encodeURIComponent(name) : ''
  if (escaped.length === 0 || escaped.length > max) {
    throw new PeerworkError('invalid-argument',
      `the name of a ${kind} has 1 to ${max} characters after percent-encoding`)
  }
  return escaped
}
