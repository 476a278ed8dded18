/**
 * This module stores shared states in IndexedDB. All pages of one origin share the database: a save
 * is one transaction that keeps stored records that are newer.
 */

import { STATE_BYTES_MAX, STATE_KEYS_MAX } from '../limits.js'
import { sizeOf } from '../state/entries.js'
import type { ResolveRecords, StateRecord, StateStorage } from '../state/storage.js'

const VERSION = 1
const RECORDS = 'records'
/** The store of one {@link Size} for each state. */
const SIZES = 'sizes'

interface Size {
  keys: number
  bytes: number
}

export function databaseStorage (name: string): StateStorage {
  return new Database(name)
}

class Database implements StateStorage {
  readonly #name: string
  #opening: Promise<IDBDatabase> | undefined

  constructor (name: string) {
    this.#name = name
  }

  async load (state: string): Promise<StateRecord[]> {
    const database = await this.#open()
    const records = database.transaction(RECORDS).objectStore(RECORDS)
    // The bound of a list of records is above the bound of a state, so that nothing is left out.
    return await result(records.getAll(keysOf(state), 2 * STATE_KEYS_MAX) as IDBRequest<StateRecord[]>)
  }

  async save (state: string, given: StateRecord[], resolve: ResolveRecords): Promise<void> {
    const database = await this.#open()
    const transaction = database.transaction([RECORDS, SIZES], 'readwrite', { durability: 'strict' })
    const over = ended(transaction)
    // A failed request aborts the transaction, which `over` reports with its reason.
    const work = put(transaction, state, given, resolve).catch((error: unknown) => {
      abort(transaction)
      throw error
    })
    const [written, finished] = await Promise.allSettled([work, over])
    if (finished.status === 'rejected' && transaction.error !== null) throw finished.reason
    if (written.status === 'rejected') throw written.reason
    if (finished.status === 'rejected') throw finished.reason
  }

  async close (): Promise<void> {
    const opening = this.#opening
    this.#opening = undefined
    const database = await opening?.catch(() => undefined)
    database?.close()
  }

  async #open (): Promise<IDBDatabase> {
    this.#opening ??= openDatabase(this.#name, () => { this.#opening = undefined })
    return await this.#opening
  }
}

async function openDatabase (name: string, onGone: () => void): Promise<IDBDatabase> {
  try {
    if ((globalThis.indexedDB as IDBFactory | undefined) === undefined) throw new Error('this page has no IndexedDB')
    const request = indexedDB.open(name, VERSION)
    request.onupgradeneeded = () => {
      request.result.createObjectStore(RECORDS)
      request.result.createObjectStore(SIZES)
    }
    const database = await result(request)
    const leave = (): void => {
      database.close()
      onGone()
    }
    // The browser closes a database whose data the user deletes, and asks before an upgrade.
    database.onclose = leave
    database.onversionchange = leave
    return database
  } catch (error) {
    onGone()
    throw error
  }
}

/** Writes the records that win over the stored ones, within the bounds of a state. */
async function put (
  transaction: IDBTransaction, state: string, given: StateRecord[], resolve: ResolveRecords
): Promise<void> {
  const [records, sizes] = [transaction.objectStore(RECORDS), transaction.objectStore(SIZES)]
  const size = sizeFrom(await result(sizes.get(state)))
  // Requests of one transaction run in their order, so all of them are made at once.
  await Promise.all(given.map(async (record) => {
    const key = [state, record.key]
    const stored = await result(records.get(key) as IDBRequest<StateRecord | undefined>)
    const kept = stored === undefined ? record : resolve(stored, record)
    if (stored === undefined) size.keys += 1
    else size.bytes -= bytesOf(stored)
    size.bytes += bytesOf(kept)
    if (size.keys > STATE_KEYS_MAX || size.bytes > STATE_BYTES_MAX) throw new Error('the stored state is full')
    await result(records.put(kept, key))
  }))
  await result(sizes.put(size, state))
}

function sizeFrom (stored: unknown): Size {
  const { keys, bytes } = Object(stored) as Partial<Size>
  return { keys: Number(keys ?? 0), bytes: Number(bytes ?? 0) }
}

/** The size of a stored record, which may be damaged. */
function bytesOf (record: StateRecord): number {
  try {
    return sizeOf(record)
  } catch {
    return 0
  }
}

/** All keys of a state: arrays sort after texts, so `[state, []]` is above `[state, <any text>]`. */
function keysOf (state: string): IDBKeyRange {
  return IDBKeyRange.bound([state], [state, []])
}

async function result<T> (request: IDBRequest<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    request.onsuccess = () => { resolve(request.result) }
    request.onerror = () => { reject(request.error ?? new Error('the request failed')) }
  })
}

async function ended (transaction: IDBTransaction): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => { resolve() }
    transaction.onabort = () => { reject(transaction.error ?? new Error('the transaction was aborted')) }
  })
}

function abort (transaction: IDBTransaction): void {
  try {
    transaction.abort()
  } catch {
    // The transaction has ended already.
  }
}
