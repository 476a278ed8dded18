/**
 * This module implements `fetch` for apps behind edges, with end-to-end encryption through the
 * relays.
 */

import { PeerworkError } from '../errors.js'
import { REDIRECTS_MAX } from '../limits.js'
import { withDeadline } from '../time.js'
import { closeTunnel, exchange } from './exchange.js'
import { prepareRequest } from './request.js'
import { openTunnel } from './tunnel.js'
import { parseTarget, resolveRedirect, urlOf } from './url.js'
import type { Edges } from './edges.js'
import type { Exchange } from './exchange.js'
import type { FetchInit, OutgoingRequest } from './request.js'
import type { Side } from '../errors.js'
import type { Target } from './url.js'

const TIMEOUT_MS = 60_000
const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** The statuses whose `Response` must have no body. */
const EMPTY_STATUSES = new Set([204, 205, 304])

/** Sends a request to an app; see `PeerworkNode.fetch`. */
export async function fetchFrom (
  edges: Edges, self: string, url: string | URL, init: FetchInit = {}
): Promise<Response> {
  let target = parseTarget(url)
  if (target.edge === self) throw new PeerworkError('invalid-argument', 'a node does not call itself')
  let request = await prepareRequest(init)
  const decodes = !request.headers.has('accept-encoding')
  if (decodes) request.headers.set('accept-encoding', 'gzip')
  for (let redirects = 0; ; redirects += 1) {
    const answer = await call(edges, target, request, init)
    const next = nextTarget(target, answer, init.redirect ?? 'follow', redirects)
    if (next === undefined) return responseOf(answer, target, decodes, redirects > 0)
    answer.abort(new Error('the redirect is followed'))
    request = redirected(request, answer.head.status)
    target = next
  }
}

/** Sends one request and returns the head of its response, within the deadline. */
async function call (
  edges: Edges, target: Target, request: OutgoingRequest, init: FetchInit
): Promise<Exchange> {
  const ms = init.timeoutMs ?? TIMEOUT_MS
  let side: Side = 'edge'
  const late = (): PeerworkError => {
    const who = side === 'app' ? 'the app did not answer' : 'the edge could not be reached'
    return new PeerworkError('timeout', `${who} in ${ms} ms`, { side })
  }
  const given = new AbortController()
  const whole = init.signal === undefined ? given.signal : AbortSignal.any([given.signal, init.signal])
  return await withDeadline({ ms, signal: init.signal, late }, async (signal) => {
    const connection = await edges.connect(target.edge, signal)
    const tunnel = await openTunnel(connection, { port: target.port, openDeadlineMs: ms, key: init.key }, signal)
    side = 'app'
    // The deadline covers the head only; the bodies may take any time.
    const onLate = (): void => { given.abort(signal.reason) }
    signal.addEventListener('abort', onLate, { once: true })
    const answer = await exchange(tunnel, request, target, whole)
    signal.removeEventListener('abort', onLate)
    if (answer.head.framing.kind === 'none') void closeTunnel(tunnel)
    return answer
  })
}

function nextTarget (
  target: Target, { head, abort }: Exchange, policy: 'follow' | 'manual' | 'error', redirects: number
): Target | undefined {
  if (policy === 'manual' || !REDIRECTS.has(head.status)) return undefined
  const location = head.fields.find(([name]) => name === 'location')?.[1]
  const next = location === undefined ? undefined : resolveRedirect(target, location)
  if (next === undefined) return undefined
  if (policy === 'error' || redirects >= REDIRECTS_MAX) {
    const error = new PeerworkError('bad-answer', `the app redirects to ${next.path}`, { side: 'app' })
    abort(error)
    throw error
  }
  return next
}

/** Changes the method as browsers do: 303 becomes GET, and 301 and 302 turn POST into GET. */
function redirected (request: OutgoingRequest, status: number): OutgoingRequest {
  const { method, headers, body } = request
  const becomesGet = status === 303 ? method !== 'HEAD' : status < 303 && method === 'POST'
  if (!becomesGet) {
    if (body.kind === 'stream') {
      throw new PeerworkError('bad-answer', 'the app redirects a body that was sent from a stream', { side: 'app' })
    }
    return request
  }
  const without = new Headers(headers)
  for (const name of ['content-type', 'content-encoding', 'content-language', 'content-location']) {
    without.delete(name)
  }
  return { method: 'GET', headers: without, body: { kind: 'none' } }
}

function responseOf (answer: Exchange, target: Target, decodes: boolean, redirected: boolean): Response {
  const { head } = answer
  const headers = new Headers()
  for (const [name, value] of head.fields) headers.append(name, value)
  const empty = head.framing.kind === 'none' || EMPTY_STATUSES.has(head.status)
  if (empty && head.framing.kind !== 'none') answer.abort(new Error('no body is allowed here'))
  const body = empty ? null : decoded(answer.body(), headers, decodes)
  const response = new Response(body, { status: head.status, statusText: head.statusText, headers })
  Object.defineProperties(response, {
    url: { value: urlOf(target), enumerable: true },
    redirected: { value: redirected, enumerable: true }
  })
  return response
}

/** Decompresses the body, when this package and not the user asked for compression. */
function decoded (
  body: ReadableStream<Uint8Array>, headers: Headers, decodes: boolean
): ReadableStream<Uint8Array> {
  if (!decodes || headers.get('content-encoding')?.toLowerCase() !== 'gzip') return body
  return body.pipeThrough(new DecompressionStream('gzip') as unknown as ReadableWritablePair<Uint8Array, Uint8Array>)
}
