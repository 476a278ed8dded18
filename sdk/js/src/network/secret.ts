/**
 * `NetworkSecret` holds the secret that the nodes of a network share, and computes MACs with it.
 *
 * The hash functions are those of a library, because pages on plain http have no `crypto.subtle`.
 */

import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { base32 } from 'multiformats/bases/base32'
import { concat, utf8 } from '../bytes.js'
import { PeerworkError } from '../errors.js'
import { SECRET_BYTES } from '../limits.js'

const PREFIX = 'pws_'
/** The bytes of the checksum, which finds typing errors. */
const CHECKSUM_BYTES = 4
/** The longest text that is decoded; the text form of a secret has 62 characters. */
const TEXT_CHARS_MAX = 128

/** A secret of a network: 32 random bytes, which neither errors nor the console show. */
export class NetworkSecret {
  readonly #bytes: Uint8Array

  private constructor (bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Generates a secret. */
  static generate (): NetworkSecret {
    return new NetworkSecret(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)))
  }

  /**
   * Copies 32 random bytes.
   *
   * @throws PeerworkError `invalid-argument` for another number of bytes.
   */
  static from (bytes: Uint8Array): NetworkSecret {
    if (bytes.byteLength !== SECRET_BYTES) {
      throw new PeerworkError('invalid-argument', `a network secret has ${SECRET_BYTES} bytes`)
    }
    return new NetworkSecret(Uint8Array.from(bytes))
  }

  /**
   * Decodes the text form, `pws_…`.
   *
   * @throws PeerworkError `invalid-argument` for any other text, which the message does not repeat.
   */
  static parse (text: string): NetworkSecret {
    if (typeof text !== 'string' || !text.startsWith(PREFIX)) {
      throw new PeerworkError('invalid-argument',
        'not a network secret: a secret begins with pws_ and is made by: peerwork genesis --secret')
    }
    const bytes = text.length > TEXT_CHARS_MAX ? undefined : fromBase32(text.slice(PREFIX.length))
    const secret = bytes?.subarray(0, SECRET_BYTES)
    if (bytes?.byteLength !== SECRET_BYTES + CHECKSUM_BYTES || secret === undefined ||
      !areEqual(bytes.subarray(SECRET_BYTES), checksum(secret))) {
      throw new PeerworkError('invalid-argument', 'the network secret is incomplete or was changed: copy it again')
    }
    return NetworkSecret.from(secret)
  }

  /** The text form. The text is as secret as the secret. */
  toText (): string {
    return PREFIX + base32.baseEncode(concat([this.#bytes, checksum(this.#bytes)]))
  }

  /**
   * Computes HMAC-SHA256 over a label and parts, each prefixed with its length (four bytes,
   * big-endian), so that two different lists never give the same input.
   */
  mac (label: string, parts: readonly Uint8Array[]): Uint8Array {
    return hmac(sha256, this.#bytes, concat([utf8(label), ...parts].flatMap((part) => {
      const length = new Uint8Array(4)
      new DataView(length.buffer).setUint32(0, part.byteLength)
      return [length, part]
    })))
  }
}

/** The first four bytes of the SHA-256 of some bytes. */
export function checksum (bytes: Uint8Array): Uint8Array {
  return sha256(bytes).subarray(0, CHECKSUM_BYTES)
}

/** Decodes lower-case base32 without padding; returns `undefined` for other text. */
export function fromBase32 (text: string): Uint8Array | undefined {
  if (text.includes('=')) return undefined
  try {
    return base32.baseDecode(text)
  } catch {
    return undefined
  }
}

/** Compares two byte strings in a time that depends on their lengths only. */
export function areEqual (a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  let difference = 0
  for (let at = 0; at < a.byteLength; at += 1) difference |= (a[at] ?? 0) ^ (b[at] ?? 0)
  return difference === 0
}
