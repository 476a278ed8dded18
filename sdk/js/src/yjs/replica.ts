/**
 * `Replica` is the Yjs document of a provider as other peers compare it: it encodes the parts that
 * a peer lacks, and applies the updates of peers after checking them.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import * as Y from 'yjs'
import { PeerworkError } from '../errors.js'
import { base64url, isIntegerIn } from '../bytes.js'
import { YJS_DOC_BYTES_MAX, YJS_PENDING_BYTES_MAX } from '../limits.js'

/** The largest clock of a Yjs item; Yjs counts one for each character. */
const CLOCK_MAX = 2 ** 48
/** The ids of Yjs clients have 32 bits; programs that set their own may use up to 53. */
const CLIENT_MAX = Number.MAX_SAFE_INTEGER

/** The message of the error for a document that is too large. */
export const TOO_LARGE = 'the document exceeds the 16 MiB that peers send each other at once'

export class Replica {
  readonly #doc: Y.Doc
  readonly #origin: unknown
  #waitingSince: Uint8Array | undefined

  /** @param origin the origin of the transactions that apply updates of peers */
  constructor (doc: Y.Doc, origin: unknown) {
    this.#doc = doc
    this.#origin = origin
  }

  /** A digest of the items and the deletions; equal for documents with equal content. */
  get digest (): string {
    return base64url(sha256(Y.encodeSnapshot(Y.snapshot(this.#doc))))
  }

  /** The state vector. */
  get vector (): Uint8Array {
    return Y.encodeStateVector(this.#doc)
  }

  /** Whether received updates wait for an earlier update. */
  get waits (): boolean {
    const { pendingStructs, pendingDs } = this.#doc.store
    return pendingStructs !== null || pendingDs !== null
  }

  /**
   * Encodes the content that a peer with a state vector lacks. Updates that wait for others are left
   * out, so that an update that never fits does not spread.
   *
   * @throws PeerworkError `bad-answer` for a malformed vector, `too-large`.
   */
  since (vector: Uint8Array): Uint8Array {
    const { store } = this.#doc
    const { pendingStructs, pendingDs } = store
    store.pendingStructs = store.pendingDs = null
    try {
      const update = Y.encodeStateAsUpdate(this.#doc, checkedVector(vector))
      if (update.byteLength <= YJS_DOC_BYTES_MAX) return update
    } finally {
      Object.assign(store, { pendingStructs, pendingDs })
    }
    throw new PeerworkError('too-large', TOO_LARGE)
  }

  /**
   * Applies the update of a peer.
   *
   * @throws PeerworkError `bad-answer` for a malformed update, which is not applied.
   */
  take (bytes: Uint8Array): void {
    // Yjs reads beyond the end of a view into a larger buffer, so the update gets its own buffer.
    const update = bytes.slice()
    if (!isSound(update)) throw new PeerworkError('bad-answer', 'the peer sent a malformed Yjs update')
    try {
      Y.applyUpdate(this.#doc, update, this.#origin)
    } catch (error) {
      // An observer of the application failed, or the items contradict the document's own.
      console.error('peerwork/yjs: applying an update failed', error)
    }
    this.#boundWaiting()
  }

  /**
   * Drops updates that were waiting at the last call already. The peers that have their predecessors
   * send both in a comparison.
   */
  dropStale (): void {
    const waiting = this.#doc.store.pendingStructs?.update ?? this.#doc.store.pendingDs ?? undefined
    if (waiting !== undefined && waiting === this.#waitingSince) this.#dropWaiting()
    this.#waitingSince = waiting
  }

  #boundWaiting (): void {
    const { pendingStructs, pendingDs } = this.#doc.store
    const bytes = (pendingStructs?.update.byteLength ?? 0) + (pendingDs?.byteLength ?? 0)
    if (bytes > YJS_PENDING_BYTES_MAX) this.#dropWaiting()
  }

  #dropWaiting (): void {
    this.#doc.store.pendingStructs = this.#doc.store.pendingDs = null
  }
}

function checkedVector (vector: Uint8Array): Uint8Array {
  const own = vector.slice()
  try {
    Y.decodeStateVector(own)
    return own
  } catch (cause) {
    throw new PeerworkError('bad-answer', 'the peer sent a malformed Yjs state vector', { cause })
  }
}

/**
 * Whether an update can be decoded and has sensible numbers. `Y.applyUpdate` would apply the first
 * half of an update whose second half is malformed, and allocate as many places as it claims.
 */
export function isSound (update: Uint8Array): boolean {
  try {
    const { structs, ds } = Y.decodeUpdate(update)
    return structs.every(({ id, length }) => isRange(id.client, id.clock, length)) &&
      [...ds.clients].every(([client, items]) => items.every(({ clock, len }) => isRange(client, clock, len)))
  } catch {
    return false
  }
}

function isRange (client: number, clock: number, length: number): boolean {
  return isIntegerIn(client, 0, CLIENT_MAX) && isIntegerIn(length, 1, CLOCK_MAX) &&
    isIntegerIn(clock, 0, CLOCK_MAX - length)
}
