/** This module encodes an HTTP/1.1 request. */

import { PeerworkError } from '../errors.js'
import { EMPTY, concat, utf8 } from '../bytes.js'
import type { Target } from './url.js'

/** The options of `fetch`, in addition to the URL. */
export interface FetchInit {
  method?: string
  headers?: NonNullable<ConstructorParameters<typeof Headers>[0]>
  /**
   * Any body that `Response` accepts; streams and forms are sent chunked, all others with a content
   * length.
   */
  body?: ConstructorParameters<typeof Response>[0]
  /** Aborts the call, or the reading of the body, with the signal's own reason. */
  signal?: AbortSignal
  /** The bearer key of the edge (`pwk_…`), if the edge requires one. */
  key?: string
  /** The time for connecting and receiving the head of the response; default 60 s. */
  timeoutMs?: number
  /**
   * The treatment of redirects within the app; redirects to other places are returned unfollowed.
   */
  redirect?: 'follow' | 'manual' | 'error'
}

/** A request that is ready to be sent. */
export interface OutgoingRequest {
  method: string
  headers: Headers
  body: OutgoingBody
}

export type OutgoingBody =
  | { kind: 'none' }
  | { kind: 'bytes', bytes: Uint8Array }
  | { kind: 'stream', stream: ReadableStream<Uint8Array> }

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const KNOWN_METHODS = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'])
/** The methods that do not fit the model of one request and one response. */
const OTHER_METHODS = new Set(['CONNECT', 'TRACE'])
/** The header fields of the connection itself, which this package writes. */
const OWN_FIELDS = ['connection', 'content-length', 'expect', 'host', 'keep-alive',
  'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']

/**
 * Checks the options and prepares the request.
 *
 * @throws PeerworkError `invalid-argument`.
 */
export async function prepareRequest (init: FetchInit): Promise<OutgoingRequest> {
  const method = normalMethod(init.method ?? 'GET')
  const headers = headersOf(init.headers)
  for (const name of OWN_FIELDS) headers.delete(name)
  const body = await prepareBody(init.body ?? null, headers)
  if (body.kind !== 'none' && (method === 'GET' || method === 'HEAD')) {
    throw new PeerworkError('invalid-argument', `a ${method} request has no body`)
  }
  return { method, headers, body }
}

function headersOf (init: HeadersInit | undefined): Headers {
  try {
    return new Headers(init)
  } catch (cause) {
    throw new PeerworkError('invalid-argument', 'the headers are not valid', { cause })
  }
}

function normalMethod (method: string): string {
  const upper = method.toUpperCase()
  const known = KNOWN_METHODS.has(upper) ? upper : method
  if (!TOKEN.test(known) || OTHER_METHODS.has(upper)) {
    throw new PeerworkError('invalid-argument', `"${method}" is no method that can be fetched`)
  }
  return known
}

/**
 * Prepares the body with the help of `Response`, which knows the encoding and content type of each
 * kind of body.
 */
async function prepareBody (body: BodyInit | null, headers: Headers): Promise<OutgoingBody> {
  if (body === null) return { kind: 'none' }
  const written = new Response(body)
  const type = written.headers.get('content-type')
  if (type !== null && !headers.has('content-type')) headers.set('content-type', type)
  if (body instanceof ReadableStream || body instanceof FormData) {
    return written.body === null ? { kind: 'none' } : { kind: 'stream', stream: written.body }
  }
  return { kind: 'bytes', bytes: new Uint8Array(await written.arrayBuffer()) }
}

/**
 * Encodes the head of the request, followed by the body if it is short enough to be sent at once.
 */
export function encodeHead ({ method, headers, body }: OutgoingRequest, target: Target): Uint8Array {
  const lines = [`${method} ${target.path} HTTP/1.1`, `host: localhost:${target.port}`, 'connection: close']
  headers.forEach((value, name) => { lines.push(`${name}: ${value}`) })
  if (body.kind === 'stream') lines.push('transfer-encoding: chunked')
  if (body.kind === 'bytes') lines.push(`content-length: ${body.bytes.byteLength}`)
  if (body.kind === 'none' && (method === 'POST' || method === 'PUT')) lines.push('content-length: 0')
  return latin1(`${lines.join('\r\n')}\r\n\r\n`)
}

/**
 * Encodes one chunk of a chunked body. Empty input gives no bytes, because an empty chunk would end
 * the body.
 */
export function encodeChunk (bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength === 0) return EMPTY
  return concat([utf8(`${bytes.byteLength.toString(16)}\r\n`), bytes, utf8('\r\n')])
}

/** @internal */
export const LAST_CHUNK = utf8('0\r\n\r\n')

/** Encodes a header value, whose characters are bytes. */
function latin1 (text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0))
}
