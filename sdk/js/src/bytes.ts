/** This module converts between bytes, text and JSON. */

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** @internal */
export const EMPTY = new Uint8Array(0)

export function utf8 (text: string): Uint8Array {
  return encoder.encode(text)
}

/**
 * Decodes UTF-8.
 *
 * @throws TypeError for bytes that are not UTF-8.
 */
export function textOf (bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

export function concat (parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.byteLength
  }
  return joined
}

export function base64url (bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

/**
 * Decodes base64url.
 *
 * @throws DOMException for text that is not base64url.
 */
export function fromBase64url (text: string): Uint8Array {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(binary, (char) => char.charCodeAt(0))
}

/** Any value that JSON can represent. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export type JsonObject = { [key: string]: unknown }

export function isObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Parses UTF-8 bytes as JSON; returns `undefined` when they are not JSON. */
export function parseJson (bytes: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(bytes))
  } catch {
    return undefined
  }
}

/** Whether a value is an integer within bounds that JavaScript can represent exactly. */
export function isIntegerIn (value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
}

/** Whether a value is a string of at most `max` UTF-16 units. */
export function isText (value: unknown, max: number): value is string {
  return typeof value === 'string' && value.length <= max
}
