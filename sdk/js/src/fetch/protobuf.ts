/**
 * This module encodes and decodes the part of protobuf that the tunnel and the directory use:
 * fields of varint and length-delimited type. Unknown fields are skipped, as protobuf demands.
 */

import { PeerworkError } from '../errors.js'
import { concat, textOf } from '../bytes.js'

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5
/** The largest number of fields in one message; the messages of this package have fewer. */
const FIELDS_MAX = 4096

export function varint (value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

/** Encodes a number; zero is left out, as in protobuf 3. */
export function numberField (tag: number, value: number): Uint8Array {
  return value === 0 ? new Uint8Array(0) : concat([varint(tag << 3 | VARINT), varint(value)])
}

export function bytesField (tag: number, value: Uint8Array): Uint8Array {
  return concat([varint(tag << 3 | BYTES), varint(value.byteLength), value])
}

/** The decoded value of one field. Numbers that a `number` cannot represent exactly are bigints. */
type Value = number | bigint | Uint8Array

/** The fields of a message by tag, in the order in which they were received. */
export class Fields {
  readonly #values = new Map<number, Value[]>()

  /**
   * Decodes a message.
   *
   * @throws PeerworkError `bad-answer` for bytes that are not protobuf.
   */
  constructor (bytes: Uint8Array) {
    const cursor = new Cursor(bytes)
    for (let count = 0; !cursor.atEnd; count += 1) {
      if (count >= FIELDS_MAX) throw malformed()
      const key = Number(cursor.varint())
      const [tag, type] = [Math.floor(key / 8), key % 8]
      const value = cursor.value(type)
      if (value === undefined) continue
      const values = this.#values.get(tag) ?? []
      this.#values.set(tag, values)
      values.push(value)
    }
  }

  /** The number with a tag; 0 when the field is missing. */
  number (tag: number): number {
    const value = this.#values.get(tag)?.at(-1) ?? 0
    if (value instanceof Uint8Array) throw malformed()
    return Number(value)
  }

  /** The signed integer of 64 bits with a tag; 0 when the field is missing. */
  integer (tag: number): bigint {
    const value = this.#values.get(tag)?.at(-1) ?? 0
    if (value instanceof Uint8Array) throw malformed()
    return BigInt.asIntN(64, BigInt(value))
  }

  /** All byte strings with a tag. */
  allBytes (tag: number): Uint8Array[] {
    return (this.#values.get(tag) ?? []).map((value) => {
      if (!(value instanceof Uint8Array)) throw malformed()
      return value
    })
  }

  bytes (tag: number): Uint8Array | undefined {
    return this.allBytes(tag).at(-1)
  }

  /** The text with a tag; empty when the field is missing. */
  text (tag: number): string {
    const bytes = this.bytes(tag)
    if (bytes === undefined) return ''
    try {
      return textOf(bytes)
    } catch {
      throw malformed()
    }
  }
}

class Cursor {
  readonly #bytes: Uint8Array
  #at = 0

  constructor (bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get atEnd (): boolean {
    return this.#at >= this.#bytes.byteLength
  }

  /** Decodes a varint; one beyond the exact range of `number` is a bigint. */
  varint (): number | bigint {
    let low = 0
    let high = 0n
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#at]
      if (byte === undefined) throw malformed()
      this.#at += 1
      if (shift < 42) low += (byte & 0x7f) * 2 ** shift
      else high |= BigInt(byte & 0x7f) << BigInt(shift - 42)
      if (byte < 0x80) return exactly(high << 42n | BigInt(low))
    }
    throw malformed()
  }

  value (type: number): Value | undefined {
    switch (type) {
      case VARINT:
        return this.varint()
      case BYTES:
        return this.#take(Number(this.varint()))
      case FIXED64:
        this.#take(8)
        return undefined
      case FIXED32:
        this.#take(4)
        return undefined
      default:
        throw malformed()
    }
  }

  #take (size: number): Uint8Array {
    const end = this.#at + size
    if (end > this.#bytes.byteLength) throw malformed()
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}

function exactly (value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
}

function malformed (): PeerworkError {
  return new PeerworkError('bad-answer', 'the bytes are no protobuf message of this kind')
}
