import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { concat, utf8 } from '../../src/bytes.js'
import { App } from '../support/app.js'
import { FakeEdge } from '../support/fake-edge.js'
import { Members } from '../support/members.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { FetchInit, PeerworkNode } from '../../src/index.js'

const members = new Members()
let relay: Relay
let app: App
let edge: FakeEdge
let node: PeerworkNode
const edges: FakeEdge[] = []

before(async () => {
  [relay, app] = await Promise.all([Relay.start(), App.start()])
  edge = await startEdge({})
  node = await members.join({ relays: [relay.webSocket], room: 'fetch', listen: [] })
})

after(async () => {
  await members.leave()
  await Promise.all(edges.map(async (one) => { await one.stop() }))
  await app.stop()
  await relay.remove()
})

async function startEdge (options: Partial<Parameters<typeof FakeEdge.start>[0]>): Promise<FakeEdge> {
  const started = await FakeEdge.start({ relay: relay.tcp, ports: [app.port, 1], ...options })
  edges.push(started)
  return started
}

async function call (path: string, init?: FetchInit, at: FakeEdge = edge): Promise<Response> {
  return await node.fetch(`peerwork://${at.id}/${app.port}${path}`, init)
}

/** The code and the side of the error with which a promise rejects. */
async function failure (promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'no failure'
  } catch (error) {
    return error instanceof PeerworkError ? `${error.code} ${error.side}` : String(error)
  }
}

interface Echo { method: string, url: string, body: string, headers: Record<string, string> }

test('a request and its response pass whole', async () => {
  const response = await call('/echo?q=ü', { method: 'PATCH', headers: { 'x-own': 'yes' }, body: 'bödy' })
  assert.equal(response.status, 201)
  assert.equal(response.statusText, 'Created')
  assert.equal(response.headers.get('x-method'), 'PATCH')
  assert.equal(response.url, `peerwork://${edge.id}/${app.port}/echo?q=%C3%BC`)
  const echo = await response.json() as Echo
  assert.equal(echo.url, '/echo?q=%C3%BC')
  assert.equal(Buffer.from(echo.body, 'latin1').toString(), 'bödy')
  assert.equal(echo.headers['host'], `localhost:${app.port}`)
  assert.equal(echo.headers['x-own'], 'yes')
})

test('every kind of body arrives as it was given', async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at)
  const stream = new ReadableStream<Uint8Array>({
    start (controller) {
      controller.enqueue(bytes.subarray(0, 100))
      controller.enqueue(new Uint8Array(0))
      controller.enqueue(bytes.subarray(100))
      controller.close()
    }
  })
  for (const body of [bytes, bytes.buffer, new Blob([bytes]), stream]) {
    const echo = await (await call('/echo', { method: 'POST', body })).json() as Echo
    assert.deepEqual(new Uint8Array(Buffer.from(echo.body, 'latin1')), bytes)
  }
  const form = new FormData()
  form.set('field', 'välue')
  form.set('file', new File([bytes], 'name.bin'))
  const echo = await (await call('/echo', { method: 'POST', body: form })).json() as Echo
  assert.match(Buffer.from(echo.body, 'latin1').toString(), /name="field"\r\n\r\nvälue\r\n/)
  assert.equal(echo.headers['transfer-encoding'], 'chunked')
  const query = await (await call('/echo', { method: 'POST', body: new URLSearchParams({ a: 'b c' }) })).json() as Echo
  assert.equal(query.body, 'a=b+c')
})

test('several calls pass at once, and a large body with them', async () => {
  const bytes = 8 * 1024 * 1024
  const calls = Array.from({ length: 20 }, async (_, at) => (await (await call(`/echo?${at}`)).json() as Echo).url)
  const large = (await call(`/large?bytes=${bytes}`)).arrayBuffer()
  assert.deepEqual(await Promise.all(calls), Array.from({ length: 20 }, (_, at) => `/echo?${at}`))
  const body = new Uint8Array(await large)
  assert.equal(body.byteLength, bytes)
  assert.ok(body.every((byte) => byte === 7))
})

test('a large upload passes', async () => {
  const piece = new Uint8Array(64 * 1024).fill(65)
  let left = 64
  const body = new ReadableStream<Uint8Array>({
    pull (controller) {
      if (left === 0) controller.close()
      else controller.enqueue(piece)
      left -= 1
    }
  })
  const echo = await (await call('/echo', { method: 'PUT', body })).json() as Echo
  assert.equal(echo.body.length, 64 * piece.byteLength)
})

test('compression is undone, and statuses without a body have none', async () => {
  assert.equal(await (await call('/gzip')).text(), 'squeezed')
  const raw = await call('/gzip', { headers: { 'accept-encoding': 'gzip' } })
  assert.equal(new Uint8Array(await raw.arrayBuffer())[0], 0x1f)
  const empty = await call('/empty')
  assert.deepEqual([empty.status, empty.body], [204, null])
  const head = await call('/large?bytes=10', { method: 'HEAD' })
  assert.deepEqual([head.status, head.body], [200, null])
  assert.equal(await (await call('/nowhere')).text(), 'not here')
})

test('redirects within the app are followed, unless it is not wished', async () => {
  const followed = await call('/redirect', { method: 'POST', body: 'x' })
  const echo = await followed.json() as Echo
  assert.deepEqual([followed.redirected, echo.method, echo.url, echo.body], [true, 'GET', '/echo?from=redirect', ''])
  assert.equal((await call('/redirect', { redirect: 'manual' })).status, 302)
  assert.equal((await call('/elsewhere')).headers.get('location'), 'http://elsewhere.example/')
  assert.equal(await failure(call('/redirect', { redirect: 'error' })), 'bad-answer app')
})

test('a body is read while it arrives, and a reader that cancels ends the app\'s response', async () => {
  const response = await call('/events')
  const reader = response.body?.getReader()
  const { value } = await reader?.read() ?? {}
  assert.equal(Buffer.from(value ?? []).toString(), 'data: 1\n\n')
  await reader?.cancel()
  await until('the app to see the end', () => app.seen.includes('events ended'))
})

test('a signal ends a call in every phase, with its own reason', async () => {
  assert.match(await failure(call('/echo', { signal: AbortSignal.abort(new Error('before')) })), /before/)
  const during = new AbortController()
  const silent = failure(call('/silent', { signal: during.signal }))
  await until('the request to arrive', () => app.seen.includes('GET /silent'))
  during.abort(new Error('during'))
  assert.match(await silent, /during/)
  const after = new AbortController()
  const response = await call('/events', { signal: after.signal })
  after.abort(new Error('after'))
  assert.match(await failure(response.text()), /after/)
})

test('a failure says which side failed', async () => {
  const at = (port: number, target: FakeEdge | string, init?: FetchInit): Promise<Response> => {
    return node.fetch(`peerwork://${typeof target === 'string' ? target : target.id}/${port}/`, init)
  }
  assert.equal(await failure(at(2, edge)), 'port-not-allowed edge')
  assert.equal(await failure(at(1, edge)), 'app-unreachable app')
  assert.equal(await failure(call('/silent', { timeoutMs: 3_000 })), 'timeout app')
  assert.equal(await failure((await call('/cut')).text()), 'cut-off app')
  assert.equal(await failure(at(80, '12D3KooWMTocLVb243eanESWBN3thdYVTJHGCJjo7jUbdoaxa8fC')), 'edge-unknown edge')
  assert.equal(await failure(at(80, relay.id)), 'not-supported edge')
  assert.equal(await failure(at(80, node.peerId)), 'invalid-argument caller')
  assert.equal(await failure(node.fetch('https://example.org/')), 'invalid-argument caller')
})

test('a body of the caller\'s own that fails ends the call with that error', async () => {
  const body = new ReadableStream<Uint8Array>({ pull (controller) { controller.error(new Error('my disk')) } })
  assert.match(await failure(call('/echo', { method: 'POST', body })), /my disk/)
})

test('an edge that asks for a key gets it, and says when it is wrong', async () => {
  const locked = await startEdge({ key: 'pwk_right' })
  assert.equal(await failure(call('/echo', {}, locked)), 'key-missing caller')
  assert.equal(await failure(call('/echo', { key: 'pwk_wrong' }, locked)), 'key-invalid caller')
  assert.equal((await call('/echo', { key: 'pwk_right' }, locked)).status, 201)
  assert.equal(await failure(call('/echo', { key: 'k'.repeat(257) }, locked)), 'invalid-argument caller')
})

test('an edge that is busy or answers nonsense is told from one that works', async () => {
  const busy = await startEdge({ busy: true })
  assert.equal(await failure(call('/echo', {}, busy)), 'edge-busy edge')
  const nonsense = await startEdge({ nonsense: concat([Uint8Array.of(3), utf8('no!')]) })
  assert.equal(await failure(call('/echo', {}, nonsense)), 'bad-answer peer')
  const endless = await startEdge({ nonsense: Uint8Array.of(0xff, 0x7f) })
  assert.equal(await failure(call('/echo', {}, endless)), 'bad-answer edge')
})

test('an app that speaks no HTTP is told from an edge that does not work', async () => {
  const foreign = await startEdge({ nonsense: concat([Uint8Array.of(0), utf8('SSH-2.0-OpenSSH\r\n')]) })
  assert.equal(await failure(call('/echo', {}, foreign)), 'bad-answer app')
})
