/** This module defines the messages between kernels, and checks every message that it receives. */

import { isIntegerIn, isObject, isText } from '../bytes.js'
import { SCHEDULED_ENTRIES_MAX, SCHEDULED_ID_CHARS_MAX } from '../limits.js'
import type { Json } from '../bytes.js'

/** The header of a scheduler message. */
export interface Header {
  type: 'snapshot' | 'command' | 'event'
  /** The number of the message, counted for each type. */
  seq: number
  /** The time at which the sender made the message, in milliseconds since the epoch. */
  ts: number
  /** The peer id of the sender, proved by a signature or by the connection. */
  peerId: string | null
  authorityId: string | null
}

/** The data of one provider. */
export interface ProviderEntry {
  id: string
  data: Json
}

/** One event. */
export interface EventEntry {
  id: string
  payload: Json
  reliable: boolean
  ts: number
}

interface Scheduled<Type extends string, Payload> {
  type: Type
  header: Header
  gameId: string
  roomId: string
  payload: Payload
}

/** A message with the data of all state providers. `keepalive` marks a message without news. */
export interface SnapshotMessage extends Scheduled<'pc-snapshot', ProviderEntry[]> {
  keepalive: boolean
}
/** A message with the data of all command providers. */
export type CommandMessage = Scheduled<'pc-command', ProviderEntry[]>
/** A message with events. */
export type EventMessage = Scheduled<'pc-event', EventEntry[]>
/** A message that acknowledges reliable events. */
export type AckMessage = Scheduled<'pc-ack', { eventIds: string[] }>
export type ScheduledMessage = SnapshotMessage | CommandMessage | EventMessage | AckMessage

/** A message of a program, sent by `broadcast` or `sendToPeer`. */
export interface ProgramMessage {
  type: 'peercompute-message'
  payload: Json
}

/** The facts that the receiver knows by itself, whatever the message says. */
export interface Scope {
  from: string
  gameId: string
  roomId: string
}

/** Checks a received message; `undefined` for any other data. */
export function parseMessage (data: unknown, scope: Scope): ProgramMessage | ScheduledMessage | undefined {
  if (!isObject(data)) return undefined
  const { type, payload } = data
  if (type === 'peercompute-message') {
    return payload === undefined ? undefined : { type, payload: payload as Json }
  }
  const header = parseHeader(data['header'], scope.from)
  if (header === undefined) return undefined
  const common = { header, gameId: scope.gameId, roomId: scope.roomId }
  if (type === 'pc-snapshot' && areEntries(payload, isProviderEntry)) {
    return { type, ...common, payload, keepalive: data['keepalive'] === true }
  }
  if (type === 'pc-command' && areEntries(payload, isProviderEntry)) return { type, ...common, payload }
  if (type === 'pc-event' && areEntries(payload, isEventEntry)) return { type, ...common, payload }
  if (type === 'pc-ack' && isObject(payload) && areEntries(payload['eventIds'], isId)) {
    return { type, ...common, payload: { eventIds: payload['eventIds'] } }
  }
  return undefined
}

const HEADER_TYPES: ReadonlySet<unknown> = new Set<Header['type']>(['snapshot', 'command', 'event'])

function parseHeader (header: unknown, from: string): Header | undefined {
  if (!isObject(header) || !HEADER_TYPES.has(header['type'])) return undefined
  const { type, seq, ts, authorityId = null } = header
  if (!isIntegerIn(seq, 0, Number.MAX_SAFE_INTEGER) || !isIntegerIn(ts, 0, Number.MAX_SAFE_INTEGER)) return undefined
  if (authorityId !== null && !isId(authorityId)) return undefined
  return { type: type as Header['type'], seq, ts, peerId: from, authorityId }
}

function areEntries<Entry> (list: unknown, check: (entry: unknown) => entry is Entry): list is Entry[] {
  return Array.isArray(list) && list.length <= SCHEDULED_ENTRIES_MAX && list.every(check)
}

function isId (id: unknown): id is string {
  return isText(id, SCHEDULED_ID_CHARS_MAX)
}

function isProviderEntry (entry: unknown): entry is ProviderEntry {
  return isObject(entry) && isId(entry['id']) && entry['data'] !== undefined
}

function isEventEntry (entry: unknown): entry is EventEntry {
  return isObject(entry) && isId(entry['id']) && entry['payload'] !== undefined &&
    typeof entry['reliable'] === 'boolean' && isIntegerIn(entry['ts'], 0, Number.MAX_SAFE_INTEGER)
}
