/** This module converts between bytes, text and JSON. */

import { JSON_DEPTH_MAX } from './limits.js'

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

/**
 * Parses UTF-8 bytes as JSON; returns `undefined` when they are not JSON, or nested deeper than
 * `JSON_DEPTH_MAX` and the message around a value.
 */
export function parseJson (bytes: Uint8Array): unknown {
  try {
    const text = textOf(bytes)
    return isShallow(text, JSON_DEPTH_MAX + ENVELOPE_DEPTH) ? JSON.parse(text) : undefined
  } catch {
    return undefined
  }
}

/** The levels that messages add around a value. */
const ENVELOPE_DEPTH = 8
const QUOTE = 0x22
const BACKSLASH = 0x5c
/** The bit by which `{` and `}` differ from `[` and `]`. */
const BRACE_BIT = 0x20
const OPENING = 0x5b
const CLOSING = 0x5d

/** Whether arrays and objects of JSON text are nested at most `max` deep. */
export function isShallow (json: string, max = JSON_DEPTH_MAX): boolean {
  if (json.length <= max) return true
  let depth = 0
  for (let at = 0; at < json.length; at += 1) {
    const char = json.charCodeAt(at)
    if (char === QUOTE) at = endOfString(json, at)
    else if ((char & ~BRACE_BIT) === OPENING && (depth += 1) > max) return false
    else if ((char & ~BRACE_BIT) === CLOSING) depth -= 1
  }
  return true
}

/** The place of the quote that ends the string of JSON text that begins at `start`. */
function endOfString (json: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    const end = json.indexOf('"', at)
    if (end < 0) return json.length
    let escapes = 0
    while (json.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes += 1
    if (escapes % 2 === 0) return end
    at = end
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
