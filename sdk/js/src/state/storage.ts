/**
 * `StateStorage` is the interface to a durable store of shared states. The package has one for
 * IndexedDB (pages) and one for a folder (Node.js); applications may give another.
 */

import { PeerworkError } from '../errors.js'
import { STATE_KEYS_MAX } from '../limits.js'
import { parseTuple } from './wire.js'
import type { Json } from '../bytes.js'
import type { Entry } from './entries.js'

/** The stored entry of one key. A record without `value` keeps the key deleted. */
export interface StateRecord {
  key: string
  value?: Json
  /** A Lamport clock: the record with the larger clock is the newer one. */
  clock: number
  /** The id of the peer that wrote the value. */
  author: string
}

/**
 * Decides between two records of one key: the newer one, or in a state with `merge` a record with
 * the joined value.
 */
export type ResolveRecords = (stored: StateRecord, given: StateRecord) => StateRecord

/** A durable store of shared states. Its functions may reject; the node then tries again. */
export interface StateStorage {
  /**
   * Returns the records of a state; an empty list when there are none. The node checks each record
   * as if a peer had sent it, and leaves out the damaged ones.
   *
   * @param state the names of room and state, percent-encoded, as `room/state`
   */
  load: (state: string) => Promise<StateRecord[]>
  /**
   * Stores records, one for each key, and resolves when they are durable. Where several nodes share
   * the storage, a stored record may be newer than the given one: `resolve` returns the record to
   * keep, and reading, resolving and writing must be one transaction.
   */
  save: (state: string, records: StateRecord[], resolve: ResolveRecords) => Promise<void>
  /** Releases the storage; called when the node has left. */
  close?: () => Promise<void>
}

export function recordOf ({ key, value, clock, author }: Entry): StateRecord {
  return value === undefined ? { key, clock, author } : { key, value, clock, author }
}

/** Parses one stored record; returns `undefined` for a damaged one. */
export function parseRecord (record: unknown): Entry | undefined {
  try {
    const { key, value, clock, author } = Object(record) as Record<string, unknown>
    const entry = parseTuple(value === undefined ? [key, clock, author] : [key, clock, author, value])
    if (entry === undefined || value === undefined) return entry
    // A value that is no plain JSON (a date, an object with accessors) becomes its JSON.
    return { ...entry, value: JSON.parse(JSON.stringify(value)) as Json }
  } catch {
    return undefined
  }
}

/**
 * Parses the loaded records of a state, and leaves out damaged ones.
 *
 * @throws PeerworkError `storage-failed` for a list that is none, or has more than twice the keys of
 * a state.
 */
export function parseRecords (records: unknown): Entry[] {
  if (!Array.isArray(records) || records.length > 2 * STATE_KEYS_MAX) {
    throw new PeerworkError('storage-failed', `the storage returned no list of at most ${2 * STATE_KEYS_MAX} records`)
  }
  return records.flatMap((record) => parseRecord(record) ?? [])
}
