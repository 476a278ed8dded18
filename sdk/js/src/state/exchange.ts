/**
 * This module makes one state equal at two peers, over a stream:
 *
 *   client ─ {v, name, digest} ─▶ server
 *   client ◀─ {busy: true} | {known: false} | {same: true} | entries … {end: true} ─ server
 *   client ─ entries that the server lacks … {end: true} ─▶ server
 */

import { PeerworkError } from '../errors.js'
import { isIntegerIn, isObject, isText, parseJson } from '../bytes.js'
import { NAME_CHARS_MAX, PUBLISH_BYTES_MAX, STATE_BYTES_MAX, STATE_KEYS_MAX } from '../limits.js'
import { encodeFrame, readFrame, readJsonFrame, writeJsonFrame } from '../stream/frames.js'
import { StreamReader } from '../stream/reader.js'
import { endWriting, writeAll } from '../stream/writer.js'
import { isSame } from './entries.js'
import { encodeUpdates, parseUpdate } from './wire.js'
import type { Entry } from './entries.js'
import type { Turn } from '../turns.js'
import type { Stream } from '@libp2p/interface'

const VERSION = 1
const HEAD_BYTES_MAX = 1024
/** The number of frames of one snapshot: the largest state in the smallest useful frames. */
const FRAMES_MAX = Math.ceil(2 * STATE_BYTES_MAX / PUBLISH_BYTES_MAX) + STATE_KEYS_MAX

/**
 * The time for each further frame. A side begins to answer when it has read all that was sent, of
 * which streams and sockets hold some MiB back: minutes on a slow link.
 */
const FRAME_MS = 180_000

/** The deadline of an exchange. */
export interface Patience {
  signal: AbortSignal
  /** Moves the deadline, because the exchange makes progress. */
  extend: (ms: number) => void
}

/** The functions of a state that the exchange uses. */
export interface Replica {
  readonly digest: number
  readonly all: Entry[]
  /** Applies entries of another replica; they are not published again. */
  take: (entries: Entry[]) => void
}

/**
 * Requests the entries of a peer, and sends the entries that the peer lacks.
 *
 * @returns whether the peer has a state of that name.
 * @param turn the turn of the exchange, which is told when the request is sent and answered
 * @throws PeerworkError `bad-answer`, `peer-busy`, `cut-off`.
 */
export async function requestState (
  stream: Stream, name: string, replica: Replica, patience: Patience, turn?: Turn
): Promise<boolean> {
  const { signal } = patience
  const reader = new StreamReader(stream)
  turn?.sends()
  await writeJsonFrame(stream, { v: VERSION, name, digest: replica.digest }, signal)
  const answer = await readJsonFrame(reader, HEAD_BYTES_MAX, signal)
  turn?.answered()
  if (!isObject(answer)) throw new PeerworkError('bad-answer', 'the peer answered nonsense about a state')
  if (answer['busy'] === true) throw new PeerworkError('peer-busy', 'the peer is asking for the same state')
  if (answer['known'] === true && answer['same'] !== true) {
    const theirs = await readEntries(reader, replica, patience)
    await writeEntries(stream, missing(replica.all, theirs), patience)
  }
  await endWriting(stream, signal)
  return answer['known'] === true
}

/**
 * Answers the request of a peer.
 *
 * @param find returns the state with a name, or `busy`
 */
export async function serveState (
  stream: Stream, find: (name: string) => Replica | 'busy' | undefined, patience: Patience
): Promise<void> {
  const { signal } = patience
  const reader = new StreamReader(stream)
  const head = await readJsonFrame(reader, HEAD_BYTES_MAX, signal)
  if (!isObject(head) || head['v'] !== VERSION || !isText(head['name'], NAME_CHARS_MAX) ||
    !isIntegerIn(head['digest'], 0, 0xffffffff)) {
    throw new PeerworkError('bad-answer', 'the peer asked nonsense about a state')
  }
  const replica = find(head['name'])
  if (replica === 'busy') {
    await writeJsonFrame(stream, { busy: true }, signal)
    return await endWriting(stream, signal)
  }
  const same = replica?.digest === head['digest']
  await writeJsonFrame(stream, { known: replica !== undefined, same }, signal)
  if (replica !== undefined && !same) {
    await writeEntries(stream, replica.all, patience)
    await readEntries(reader, replica, patience)
  }
  await endWriting(stream, signal)
}

async function writeEntries (stream: Stream, entries: Entry[], { signal, extend }: Patience): Promise<void> {
  for (const message of encodeUpdates(entries)) {
    extend(FRAME_MS)
    await writeAll(stream, encodeFrame(message), signal)
  }
  await writeJsonFrame(stream, { end: true }, signal)
}

/** Reads the entries of the other side, and applies those of each frame when it is there. */
async function readEntries (reader: StreamReader, replica: Replica, { signal, extend }: Patience): Promise<Entry[]> {
  const entries: Entry[] = []
  let bytes = 0
  for (let frames = 0; frames < FRAMES_MAX; frames += 1) {
    extend(FRAME_MS)
    const frame = await readFrame(reader, PUBLISH_BYTES_MAX, signal)
    const part = parseUpdate(frame)
    if (part === undefined) {
      const last = parseJson(frame)
      if (isObject(last) && last['end'] === true) return entries
      break
    }
    bytes += frame.byteLength
    entries.push(...part)
    if (bytes > 2 * STATE_BYTES_MAX || entries.length > STATE_KEYS_MAX) break
    replica.take(part)
  }
  throw new PeerworkError('bad-answer', 'the peer sent no state within its bounds')
}

/**
 * The entries that the other side lacks or has differently. The other side's entries were applied
 * before, so an entry that still differs is newer on this side, or joined.
 */
export function missing (own: Entry[], theirs: Entry[]): Entry[] {
  const known = new Map(theirs.map((entry) => [entry.key, entry]))
  return own.filter((entry) => {
    const other = known.get(entry.key)
    return other === undefined || !isSame(entry, other)
  })
}
