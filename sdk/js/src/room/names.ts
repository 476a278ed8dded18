/**
 * Names of topics and protocols. Each room has its own, so that nobody is sent another room's
 * traffic, and a peer of another room finds no protocol to speak.
 */

import { PeerworkError } from '../errors.js'
import { NAME_CHARS_MAX, ROOM_CHARS_MAX } from '../limits.js'

export interface RoomNames {
  readonly presenceTopic: string
  topic: (name: string) => string
  stateTopic: (name: string) => string
  readonly messageProtocol: string
  readonly stateProtocol: string
  readonly computeProtocol: string
  appProtocol: (name: string) => string
}

/**
 * @throws PeerworkError `invalid-argument` for an empty name and for one that is too long.
 */
export function namesOf (room: string): RoomNames {
  const escaped = escapedName('room', room, ROOM_CHARS_MAX)
  const topics = `peerwork/room/${escaped}`
  const protocols = `/peerwork/room/1/${escaped}`
  return {
    presenceTopic: `${topics}/presence`,
    topic: (name) => `${topics}/topic/${escapedName('topic', name, NAME_CHARS_MAX)}`,
    stateTopic: (name) => `${topics}/state/${escapedName('state', name, NAME_CHARS_MAX)}`,
    messageProtocol: `${protocols}/message`,
    stateProtocol: `${protocols}/state`,
    computeProtocol: `${protocols}/compute`,
    appProtocol: (name) => `${protocols}/app/${escapedName('protocol', name, NAME_CHARS_MAX)}`
  }
}

/** Escaped, so that no name can reach into another's part. */
function escapedName (kind: string, name: string, max: number): string {
  const escaped = typeof name === 'string' && name.isWellFormed() ? encodeURIComponent(name) : ''
  if (escaped.length === 0 || escaped.length > max) {
    throw new PeerworkError('invalid-argument',
      `the name of a ${kind} has 1 to ${max} characters after percent-encoding`)
  }
  return escaped
}
