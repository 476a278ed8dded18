/**
 * This module maps keys and namespaces of a kernel's state to the keys of one shared state: `/KEY`
 * for a key without a namespace, and `NAMESPACE/KEY` with the escaped namespace for others.
 */

import { PeerworkError } from '../errors.js'
import { STATE_KEY_CHARS_MAX } from '../limits.js'

/** A key with its namespace; `''` stands for no namespace. */
export interface ScopedKey {
  namespace: string
  key: string
}

/**
 * The key in the shared state.
 *
 * @throws PeerworkError `invalid-argument` when key and escaped namespace have more than 255
 * characters.
 */
export function fullKey ({ namespace, key }: ScopedKey): string {
  if (typeof key !== 'string' || typeof namespace !== 'string' || !namespace.isWellFormed() || !key.isWellFormed()) {
    throw new PeerworkError('invalid-argument', 'keys and namespaces are texts')
  }
  const full = `${encodeURIComponent(namespace)}/${key}`
  if (full.length > STATE_KEY_CHARS_MAX) {
    throw new PeerworkError('invalid-argument',
      `a key and its escaped namespace have at most ${STATE_KEY_CHARS_MAX - 1} characters`)
  }
  return full
}

/** The key and namespace of a key of the shared state; `undefined` for keys of another form. */
export function parseKey (full: string): ScopedKey | undefined {
  const at = full.indexOf('/')
  if (at < 0) return undefined
  try {
    return { namespace: decodeURIComponent(full.slice(0, at)), key: full.slice(at + 1) }
  } catch {
    return undefined
  }
}

/** @throws PeerworkError `invalid-argument` for an empty namespace. */
export function checkNamespace (namespace: string): string {
  if (typeof namespace !== 'string' || namespace === '') {
    throw new PeerworkError('invalid-argument', 'a namespace is a text of at least one character')
  }
  return namespace
}
