/**
 * This module finds the ticket in a text, also after chat programs changed the text: base32 with a
 * checksum, preceded by `peerwork` and a version.
 */

import { utf8 } from '../bytes.js'
import { PeerworkError } from '../errors.js'
import { TICKET_BYTES_MAX, TICKET_TEXT_BYTES_MAX } from '../limits.js'
import { areEqual, checksum, fromBase32 } from './secret.js'

const MARK = 'peerwork'
const VERSION = '1'
const CHECKSUM_BYTES = 4
/** The largest number of base32 characters of a ticket: five bits each. */
const BODY_CHARS_MAX = Math.ceil((TICKET_BYTES_MAX + CHECKSUM_BYTES) * 8 / 5)
/**
 * The smallest number of base32 characters that is taken for a ticket of another version, and not
 * for the name of the program with its version.
 */
const BODY_CHARS_MIN = 16
/** The longest HTML entity, such as `&#x200B;`. */
const ENTITY_CHARS_MAX = 12
/** The longest HTML tag with its attributes. */
const TAG_BYTES_MAX = 256
/** The HTML elements that stand between pieces of a text. */
const TAGS = new Set(['a', 'b', 'blockquote', 'br', 'code', 'div', 'em', 'font', 'i', 'li', 'p', 'pre', 'span',
  'strong', 'tt', 'wbr'])

/**
 * Finds the ticket in a text and returns its contents.
 *
 * @throws PeerworkError `invalid-argument` with advice; the message does not repeat the text.
 */
export function readTicketText (text: string): Uint8Array {
  if (typeof text !== 'string') throw notATicket()
  if (text.length > TICKET_TEXT_BYTES_MAX || utf8(text).byteLength > TICKET_TEXT_BYTES_MAX) throw tooLong()
  const { letters, wordEnds } = lettersOf(text)
  let error = notATicket()
  for (let start = letters.indexOf(MARK); start >= 0; start = letters.indexOf(MARK, start + MARK.length)) {
    const at = start + MARK.length
    const version = letters[at] ?? ''
    const [body = ''] = /^[a-z2-7]*/.exec(letters.slice(at + 1)) ?? []
    if (version === VERSION && body !== '') {
      const found = readBody(body, at + 1, wordEnds)
      if (found instanceof Uint8Array) return found
      error = found
    } else if (/^\d$/.test(version) && version !== VERSION && body.length >= BODY_CHARS_MIN) {
      error = new PeerworkError('invalid-argument', `the ticket has version ${version}, and this ` +
        'program reads version 1: install a program of the version that made the ticket')
    }
  }
  throw error
}

/**
 * The letters and digits of a text in lower case, and the positions among them at which words end.
 * White space, invisible characters, quotes, brackets and other marks are left out. Letters of other
 * scripts stand as `.`.
 */
function lettersOf (text: string): { letters: string, wordEnds: number[] } {
  let letters = ''
  const wordEnds: number[] = []
  let at = 0
  let markupEnd = 0
  for (const char of text) {
    const begin = at
    at += char.length
    if (begin < markupEnd) continue
    markupEnd = begin + markupChars(text, begin)
    if (/^[a-z0-9]$/i.test(char)) letters += char.toLowerCase()
    else if (/^[\p{Alphabetic}\p{N}]$/u.test(char)) letters += '.'
    else if (wordEnds.at(-1) !== letters.length) wordEnds.push(letters.length)
  }
  wordEnds.push(letters.length)
  return { letters, wordEnds }
}

/**
 * The length of the HTML entity or tag that begins at a position, whose letters are none of a
 * ticket; 0 when there is neither. Mail programs and web pages put such text between the lines of a
 * ticket.
 */
function markupChars (text: string, at: number): number {
  if (text[at] === '&') {
    const [entity = ''] = /^&#?[a-z0-9]+;/i.exec(text.slice(at, at + ENTITY_CHARS_MAX)) ?? []
    return entity.length
  }
  if (text[at] !== '<') return 0
  const [tag = '', name = ''] = /^<\/?([a-z0-9]*)[^>]*>/i.exec(text.slice(at, at + TAG_BYTES_MAX)) ?? []
  return TAGS.has(name.toLowerCase()) && utf8(tag).byteLength <= TAG_BYTES_MAX ? tag.length : 0
}

/**
 * Decodes a body that begins at `start`. Words may follow the ticket, so each end of a word may be
 * its end, and the checksum tells which end it is.
 */
function readBody (body: string, start: number, wordEnds: readonly number[]): Uint8Array | PeerworkError {
  const ends = wordEnds.map((end) => end - start).filter((end) => end >= 1 && end < body.length)
  for (const end of [...ends, body.length]) {
    if (end > BODY_CHARS_MAX) return tooLong()
    const payload = decode(body.slice(0, end))
    if (payload !== undefined) return payload
  }
  return new PeerworkError('invalid-argument',
    'the ticket is incomplete or was changed: copy all of it again, up to its last letter')
}

function decode (encoded: string): Uint8Array | undefined {
  const bytes = fromBase32(encoded)
  if (bytes === undefined || bytes.byteLength < CHECKSUM_BYTES) return undefined
  const payload = bytes.subarray(0, -CHECKSUM_BYTES)
  return areEqual(bytes.subarray(-CHECKSUM_BYTES), checksum(payload)) ? payload : undefined
}

function notATicket (): PeerworkError {
  return new PeerworkError('invalid-argument',
    'this is not a ticket: a ticket begins with peerwork1 and is printed by: peerwork invite')
}

function tooLong (): PeerworkError {
  return new PeerworkError('invalid-argument', 'the text is too long for a ticket: copy the ticket alone')
}
