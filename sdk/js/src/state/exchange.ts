/**
 * How two peers make one state alike over a stream:
 *
 *   asker  ─ {v, name, digest} ─▶ teller
 *   asker  ◀─ {known: false} | {same: true} | entries … {end: true} ─ teller
 *   asker  ─ entries that the teller lacks … {end: true} ─▶ teller
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
import type { Stream } from '@libp2p/interface'

const VERSION = 1
const HEAD_BYTES_MAX = 1024
/** Frames of one snapshot: the largest state in the smallest useful pieces. */
const FRAMES_MAX = Math.ceil(2 * STATE_BYTES_MAX / PUBLISH_BYTES_MAX) + STATE_KEYS_MAX

/** A state as the exchange sees it. */
export interface Replica {
  readonly digest: number
  readonly all: Entry[]
  /** Takes entries of another replica in; they are not published again. */
  take: (entries: Entry[]) => void
}

/**
 * Asks a peer for what it knows and tells it what it lacks.
 *
 * @returns whether the peer has a state of that name.
 * @throws PeerworkError `bad-answer`, `cut-off`.
 */
export async function askFor (
  stream: Stream, name: string, replica: Replica, signal: AbortSignal
): Promise<boolean> {
  const reader = new StreamReader(stream)
  await writeJsonFrame(stream, { v: VERSION, name, digest: replica.digest }, signal)
  const answer = await readJsonFrame(reader, HEAD_BYTES_MAX, signal)
  if (!isObject(answer)) throw new PeerworkError('bad-answer', 'the peer answered nonsense about a state')
  if (answer['known'] === true && answer['same'] !== true) {
    const theirs = await readEntries(reader, signal)
    replica.take(theirs)
    await writeEntries(stream, missing(replica.all, theirs), signal)
  }
  await endWriting(stream, signal)
  return answer['known'] === true
}

/** Answers a peer that asks. */
export async function tell (
  stream: Stream, find: (name: string) => Replica | undefined, signal: AbortSignal
): Promise<void> {
  const reader = new StreamReader(stream)
  const head = await readJsonFrame(reader, HEAD_BYTES_MAX, signal)
  if (!isObject(head) || head['v'] !== VERSION || !isText(head['name'], NAME_CHARS_MAX) ||
    !isIntegerIn(head['digest'], 0, 0xffffffff)) {
    throw new PeerworkError('bad-answer', 'the peer asked nonsense about a state')
  }
  const replica = find(head['name'])
  const same = replica?.digest === head['digest']
  await writeJsonFrame(stream, { known: replica !== undefined, same }, signal)
  if (replica !== undefined && !same) {
    await writeEntries(stream, replica.all, signal)
    replica.take(await readEntries(reader, signal))
  }
  await endWriting(stream, signal)
}

async function writeEntries (stream: Stream, entries: Entry[], signal: AbortSignal): Promise<void> {
  for (const message of encodeUpdates(entries)) await writeAll(stream, encodeFrame(message), signal)
  await writeJsonFrame(stream, { end: true }, signal)
}

async function readEntries (reader: StreamReader, signal: AbortSignal): Promise<Entry[]> {
  const entries: Entry[] = []
  let bytes = 0
  for (let frames = 0; frames < FRAMES_MAX; frames += 1) {
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
  }
  throw new PeerworkError('bad-answer', 'the peer sent no state within its bounds')
}

/**
 * What the other side has not, or has otherwise. Its own entries were taken in before, so whatever
 * still differs is newer here, or joined.
 */
export function missing (own: Entry[], theirs: Entry[]): Entry[] {
  const known = new Map(theirs.map((entry) => [entry.key, entry]))
  return own.filter((entry) => {
    const other = known.get(entry.key)
    return other === undefined || !isSame(entry, other)
  })
}
