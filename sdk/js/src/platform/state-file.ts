/**
 * `StateFile` is the file of one shared state: one line for each written record, a checksum and the
 * record as JSON. A later line of a key replaces an earlier one. Lines that are damaged, or torn by
 * a crash, are left out, and the other lines count.
 */

import { createHash } from 'node:crypto'
import { open, readFile, stat } from 'node:fs/promises'
import { parseJson, utf8 } from '../bytes.js'
import { STATE_BYTES_MAX, STATE_FILE_BYTES_MAX, STATE_KEYS_MAX } from '../limits.js'
import { isSame, sizeOf } from '../state/entries.js'
import { recordOf } from '../state/storage.js'
import { parseTuple, toTuple } from '../state/wire.js'
import { replaceFile, writeAt } from './replace-file.js'
import type { Entry } from '../state/entries.js'
import type { ResolveRecords, StateRecord } from '../state/storage.js'

/** The first line, without which a file is no file of a state. */
const HEAD = 'peerwork-state 1\n'
const CHECKSUM_CHARS = 16
/** The bytes that a file may have beyond twice those of its entries. */
const SLACK_BYTES = 256 * 1024

export class StateFile {
  readonly #path: string
  /** The last line of each key. */
  readonly #lines = new Map<string, { entry: Entry, bytes: number }>()
  /** The bytes of the file that are known to be good. */
  #length = 0
  /** The bytes of the lines in `#lines`. */
  #live = 0
  /** The part of the entries in `STATE_BYTES_MAX`. */
  #size = 0
  /** Whether the file must be written anew, because it is missing or has damaged lines. */
  #isDamaged = true
  /** Whether the last append failed: on a full disk a new file with fewer lines may have room. */
  #hasFailed = false

  private constructor (path: string) {
    this.#path = path
  }

  /** Reads the file; a missing file is an empty state. */
  static async open (path: string): Promise<StateFile> {
    const file = new StateFile(path)
    const found = await stat(path).catch(absent)
    if (found === undefined) return file
    if (found.size > STATE_FILE_BYTES_MAX) throw new Error(`${path} has more than ${STATE_FILE_BYTES_MAX} bytes`)
    file.#read(await readFile(path))
    return file
  }

  get records (): StateRecord[] {
    return [...this.#lines.values()].map(({ entry }) => recordOf(entry))
  }

  /** Stores records; they are durable when this resolves. */
  async save (records: StateRecord[], resolve: ResolveRecords): Promise<void> {
    const changed = records.flatMap((record) => this.#changed(record, resolve) ?? [])
    if (changed.length === 0) return
    this.#assertRoom(changed)
    const lines = changed.map((entry) => ({ entry, line: lineOf(entry) }))
    const added = lines.reduce((sum, { line }) => sum + line.byteLength, 0)
    const rewrites = this.#isDamaged || this.#hasFailed || this.#length + added > 2 * this.#live + SLACK_BYTES
    this.#hasFailed = !rewrites
    if (rewrites) await this.#rewrite(changed)
    else await this.#append(lines.map(({ line }) => line))
    this.#hasFailed = false
    for (const { entry, line } of lines) this.#take(entry, line.byteLength)
  }

  #read (bytes: Uint8Array): void {
    const head = utf8(HEAD)
    this.#isDamaged = Buffer.compare(bytes.subarray(0, head.byteLength), head) !== 0
    let from = this.#isDamaged ? 0 : head.byteLength
    while (from < bytes.byteLength) {
      const end = bytes.indexOf(0x0a, from)
      const line = bytes.subarray(from, end < 0 ? bytes.byteLength : end)
      const entry = end < 0 ? undefined : parseLine(line)
      if (entry === undefined || !this.#hasRoom([entry])) this.#isDamaged = true
      else this.#take(entry, line.byteLength + 1)
      from = end < 0 ? bytes.byteLength : end + 1
    }
    this.#length = bytes.byteLength
  }

  #changed (record: StateRecord, resolve: ResolveRecords): Entry | undefined {
    const stored = this.#lines.get(record.key)?.entry
    const { key, value, clock, author } = stored === undefined ? record : resolve(recordOf(stored), record)
    const entry = { key, value, clock, author }
    return stored !== undefined && isSame(stored, entry) ? undefined : entry
  }

  #take (entry: Entry, bytes: number): void {
    const known = this.#lines.get(entry.key)
    this.#live += bytes - (known?.bytes ?? 0)
    this.#size += sizeOf(entry) - (known === undefined ? 0 : sizeOf(known.entry))
    this.#lines.set(entry.key, { entry, bytes })
  }

  #hasRoom (entries: Entry[]): boolean {
    let [keys, size] = [this.#lines.size, this.#size]
    for (const entry of entries) {
      const known = this.#lines.get(entry.key)?.entry
      if (known === undefined) keys += 1
      size += sizeOf(entry) - (known === undefined ? 0 : sizeOf(known))
    }
    return keys <= STATE_KEYS_MAX && size <= STATE_BYTES_MAX
  }

  #assertRoom (entries: Entry[]): void {
    if (!this.#hasRoom(entries)) throw new Error('the stored state is full')
  }

  async #append (lines: Uint8Array[]): Promise<void> {
    const file = await open(this.#path, 'r+').catch((error: NodeJS.ErrnoException) => {
      // The next attempt creates a removed file again.
      this.#isDamaged ||= error.code === 'ENOENT'
      throw error
    })
    try {
      // A write that failed may have left a part of a line.
      await file.truncate(this.#length)
      const bytes = Buffer.concat(lines)
      await writeAt(file, bytes, this.#length)
      await file.datasync()
      this.#length += bytes.byteLength
    } finally {
      await file.close()
    }
  }

  /** Writes all entries into a new file, and puts it in the place of the old one. */
  async #rewrite (changed: Entry[]): Promise<void> {
    const entries = new Map([...this.#lines].map(([key, { entry }]) => [key, entry]))
    for (const entry of changed) entries.set(entry.key, entry)
    const bytes = Buffer.concat([utf8(HEAD), ...[...entries.values()].map(lineOf)])
    await replaceFile(this.#path, bytes, `${this.#path}.tmp`)
    this.#length = bytes.byteLength
    this.#isDamaged = false
  }
}

function lineOf (entry: Entry): Uint8Array {
  const text = JSON.stringify(toTuple(entry))
  return utf8(`${checksumOf(utf8(text))} ${text}\n`)
}

function parseLine (line: Uint8Array): Entry | undefined {
  const body = line.subarray(CHECKSUM_CHARS + 1)
  const checksum = Buffer.from(line.subarray(0, CHECKSUM_CHARS)).toString('latin1')
  return checksum === checksumOf(body) ? parseTuple(parseJson(body)) : undefined
}

/** The first eight bytes of SHA-256; Node.js 20.3 has no CRC. */
function checksumOf (body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex').slice(0, CHECKSUM_CHARS)
}

function absent (error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
