/**
 * This module derives the name of a Peerwork room from a `gameId` and a `roomId`. Different pairs
 * have different names, and the names contain only characters that no further encoding lengthens.
 */

import { PeerworkError } from '../errors.js'
import { ROOM_CHARS_MAX } from '../limits.js'

const PREFIX = 'pc'
const SEPARATOR = '!'

/**
 * The name of the room of a game.
 *
 * @throws PeerworkError `invalid-argument` for an empty id, for text with lone surrogates, and when
 * both ids together are longer than 92 characters. Characters other than ASCII letters, digits,
 * `-`, `_` and `.` count three for each byte.
 */
export function roomName (gameId: string, roomId: string): string {
  const name = [PREFIX, escaped('gameId', gameId), escaped('roomId', roomId)].join(SEPARATOR)
  if (name.length > ROOM_CHARS_MAX) {
    throw new PeerworkError('invalid-argument',
      `gameId and roomId have ${name.length - PREFIX.length - 2} characters where ${ROOM_CHARS_MAX - PREFIX.length - 2} ` +
      'are allowed in all; others than A-Z a-z 0-9 - _ . count three for each byte')
  }
  return name
}

function escaped (option: string, id: string): string {
  if (typeof id !== 'string' || id === '' || !id.isWellFormed()) {
    throw new PeerworkError('invalid-argument', `${option} is a text of at least one character`)
  }
  return encodeURIComponent(id)
    .replace(/[!~*'()]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%', '~')
}
