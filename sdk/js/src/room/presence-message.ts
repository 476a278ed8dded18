/**
 * This module encodes and decodes the messages of the presence topic; a message beyond the limits
 * is dropped.
 */

import { isIntegerIn, isObject, isShallow, isText, parseJson, utf8 } from '../bytes.js'
import {
  ADDRESS_CHARS_MAX, PEER_NAME_CHARS_MAX, PEER_STATE_BYTES_MAX, PRESENCE_ADDRESSES_MAX,
  PRESENCE_BYTES_MAX
} from '../limits.js'
import type { Json } from '../bytes.js'

/** The announcement that a peer is present. */
export interface Here {
  kind: 'here'
  /**
   * A number that grows with each message of a peer, also across restarts, because it begins at the
   * time in milliseconds.
   */
  sequence: number
  name: string
  state: Json
  addresses: string[]
  /** The number of tasks that the peer offers to run at once. */
  workers: number
  /** Whether the peer asks the other members to announce themselves. */
  ask: boolean
}

/** The announcement that a peer leaves. */
export interface Bye {
  kind: 'bye'
  sequence: number
}

export type PresenceMessage = Here | Bye

const WORKERS_MAX = 1024
const VERSION = 1

export function encodePresence (message: PresenceMessage): Uint8Array {
  return utf8(JSON.stringify({ v: VERSION, ...message }))
}

/** Decodes a presence message; `undefined` for malformed bytes. Unknown fields are ignored. */
export function parsePresence (bytes: Uint8Array): PresenceMessage | undefined {
  if (bytes.byteLength > PRESENCE_BYTES_MAX) return undefined
  const value = parseJson(bytes)
  if (!isObject(value) || value['v'] !== VERSION) return undefined
  const { kind, sequence, name, state, addresses, workers, ask } = value
  if (!isIntegerIn(sequence, 0, Number.MAX_SAFE_INTEGER)) return undefined
  if (kind === 'bye') return { kind, sequence }
  if (kind !== 'here' || !isText(name, PEER_NAME_CHARS_MAX) || typeof ask !== 'boolean') return undefined
  if (!isIntegerIn(workers, 0, WORKERS_MAX) || !isAddresses(addresses)) return undefined
  if (state === undefined || !fitsAsState(state as Json)) return undefined
  return { kind, sequence, name, state: state as Json, addresses, workers, ask }
}

function isAddresses (value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= PRESENCE_ADDRESSES_MAX &&
    value.every((address) => isText(address, ADDRESS_CHARS_MAX))
}

/** Whether a state is JSON within the limits of size and depth. */
export function fitsAsState (state: Json): boolean {
  try {
    const text = JSON.stringify(state) as string | undefined
    return text !== undefined && isShallow(text) && utf8(text).byteLength <= PEER_STATE_BYTES_MAX
  } catch {
    return false
  }
}
