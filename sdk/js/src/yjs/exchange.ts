/**
 * This module makes a Yjs document equal at two peers, over a stream:
 *
 *   client ─ {v, name, digest}, state vector ─▶ server
 *   client ◀─ {known: false} | {same: true} | {tooLarge: true} | {known: true}, state vector, update ─ server
 *   client ─ update ─▶ server
 *   client ◀─ {taken: true} ─ server
 */

import { PeerworkError } from '../errors.js'
import { isObject, isText, parseJson, utf8 } from '../bytes.js'
import { YJS_DOC_BYTES_MAX, YJS_NAME_CHARS_MAX, YJS_VECTOR_BYTES_MAX } from '../limits.js'
import { PeerFrames } from './peer-frames.js'
import { TOO_LARGE } from './replica.js'
import type { Replica } from './replica.js'
import type { PeerStream } from '../stream/peer-stream.js'
import type { Turn } from '../turns.js'

const VERSION = 1
const HEAD_BYTES_MAX = 1024
const DIGEST_CHARS_MAX = 64

/** The result of a comparison. */
export interface Comparison {
  /** Whether the peer has the document open. */
  known: boolean
  /** The peer's state vector before the comparison; missing when both documents were equal. */
  vector?: Uint8Array
}

/**
 * Compares a document with that of a peer.
 *
 * @param turn the turn of the comparison, which is told when the request is sent and answered
 * @throws PeerworkError `bad-answer`, `peer-busy`, `too-large`, `cut-off`, `timeout`.
 */
export async function requestDoc (
  stream: PeerStream, name: string, replica: Replica, turn?: Turn
): Promise<Comparison> {
  return await PeerFrames.use(stream, async (frames) => {
    turn?.sends()
    await frames.write(json({ v: VERSION, name, digest: replica.digest }), replica.vector)
    const answer = parseJson(await frames.read(HEAD_BYTES_MAX))
    turn?.answered()
    if (!isObject(answer)) throw nonsense()
    if (answer['tooLarge'] === true) throw new PeerworkError('too-large', TOO_LARGE)
    if (answer['busy'] === true) throw new PeerworkError('peer-busy', 'the peer compares with many others')
    const known = answer['known'] === true
    if (!known || answer['same'] === true) return { known }
    const vector = await frames.read(YJS_VECTOR_BYTES_MAX)
    replica.take(await frames.read(YJS_DOC_BYTES_MAX))
    await frames.write(replica.since(vector))
    const end = parseJson(await frames.read(HEAD_BYTES_MAX))
    if (!isObject(end) || end['taken'] !== true) throw nonsense()
    return { known, vector }
  })
}

/**
 * Answers a peer that compares a document.
 *
 * @param find returns the document with a name, or `busy`
 * @throws PeerworkError `bad-answer`, `too-large`, `cut-off`, `timeout`; `left` when the document is
 * closed meanwhile.
 */
export async function serveDoc (stream: PeerStream, find: (name: string) => Replica | 'busy' | undefined): Promise<void> {
  await PeerFrames.use(stream, async (frames) => {
    const head = parseJson(await frames.read(HEAD_BYTES_MAX))
    if (!isObject(head) || head['v'] !== VERSION || !isText(head['name'], YJS_NAME_CHARS_MAX) ||
      !isText(head['digest'], DIGEST_CHARS_MAX)) throw nonsense()
    const vector = await frames.read(YJS_VECTOR_BYTES_MAX)
    const replica = find(head['name'])
    if (replica === 'busy' || replica === undefined) {
      return await frames.write(json(replica === 'busy' ? { busy: true } : { known: false }))
    }
    if (replica.digest === head['digest']) return await frames.write(json({ known: true, same: true }))
    const update = updateFor(replica, vector)
    if (update === undefined) return await frames.write(json({ tooLarge: true }))
    await frames.write(json({ known: true }), replica.vector, update)
    const theirs = await frames.read(YJS_DOC_BYTES_MAX)
    if (find(head['name']) !== replica) throw new PeerworkError('left', 'the document was closed meanwhile')
    replica.take(theirs)
    await frames.write(json({ taken: true }))
  })
}

/** The content that the peer lacks; `undefined` when it is too large. */
function updateFor (replica: Replica, vector: Uint8Array): Uint8Array | undefined {
  try {
    return replica.since(vector)
  } catch (error) {
    if (error instanceof PeerworkError && error.code === 'too-large') return undefined
    throw error
  }
}

function json (value: unknown): Uint8Array {
  return utf8(JSON.stringify(value))
}

function nonsense (): PeerworkError {
  return new PeerworkError('bad-answer', 'the peer sent nonsense in place of a Yjs document')
}
