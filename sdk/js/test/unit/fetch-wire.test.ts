import assert from 'node:assert/strict'
import test from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { Identity, PeerworkError } from '../../src/index.js'
import { concat, utf8 } from '../../src/bytes.js'
import { parseResponse } from '../../src/fetch/directory.js'
import { Fields, bytesField, numberField, varint } from '../../src/fetch/protobuf.js'
import { encodeChunk, encodeHead, prepareRequest } from '../../src/fetch/request.js'
import { decodeAnswer, encodeHead as encodeTunnelHead } from '../../src/fetch/tunnel.js'
import { parseTarget, resolveRedirect } from '../../src/fetch/url.js'

const edge = (await Identity.generate()).peerId
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted

test('a URL names an edge, a port and a path', () => {
  assert.deepEqual(parseTarget(`peerwork://${edge}/8080/a/../b c?q=ü#fragment`),
    { edge, port: 8080, path: '/b%20c?q=%C3%BC' })
  assert.equal(parseTarget(`peerwork://${edge}/1`).path, '/')
  assert.equal(parseTarget(`peerwork://${edge}/1?x`).path, '/?x')
  assert.equal(parseTarget(`peerwork://${edge}/1//host/x`).path, '//host/x')
  for (const wrong of ['https://x/1/', `peerwork://${edge}`, `peerwork://${edge}/`, `peerwork://${edge}/0/`,
    `peerwork://${edge}/65536/`, `peerwork://${edge}/80x/`, 'peerwork://nobody/80/', `peerwork://${edge.toLowerCase()}/80/`]) {
    assert.throws(() => parseTarget(wrong), code('invalid-argument'), wrong)
  }
})

test('a redirect is followed within the app only', () => {
  const from = { edge, port: 80, path: '/a/b?c' }
  assert.equal(resolveRedirect(from, '../d')?.path, '/d')
  assert.equal(resolveRedirect(from, '/e?f#g')?.path, '/e?f')
  assert.equal(resolveRedirect(from, 'http://localhost:80/h')?.path, '/h')
  assert.equal(resolveRedirect(from, 'http://localhost:81/h'), undefined)
  assert.equal(resolveRedirect(from, '//other/h'), undefined)
  assert.equal(resolveRedirect(from, 'http://['), undefined)
})

test('a request is written with the fields that belong to it', async () => {
  const request = await prepareRequest({
    method: 'post', headers: { Host: 'evil', 'Content-Length': '9', Connection: 'upgrade', 'X-Y': 'ü' }, body: 'äb'
  })
  const head = text(encodeHead(request, { edge, port: 80, path: '/p?q' }))
  assert.equal(head, 'POST /p?q HTTP/1.1\r\nhost: localhost:80\r\nconnection: close\r\n' +
    'content-type: text/plain;charset=UTF-8\r\nx-y: ü\r\ncontent-length: 3\r\n\r\n')
})

test('forms and streams are chunked, and nothing else', async () => {
  const form = new FormData()
  form.set('a', 'b')
  const request = await prepareRequest({ method: 'PUT', body: form })
  assert.equal(request.body.kind, 'stream')
  assert.match(request.headers.get('content-type') ?? '', /^multipart\/form-data; boundary=/)
  assert.match(text(encodeHead(request, { edge, port: 80, path: '/' })), /transfer-encoding: chunked\r\n/)
  assert.equal((await prepareRequest({ method: 'PUT', body: new Blob(['x']) })).body.kind, 'bytes')
  assert.equal((await prepareRequest({ method: 'PUT', body: new URLSearchParams('a=b') })).body.kind, 'bytes')
  assert.equal(text(encodeChunk(utf8('abc'))), '3\r\nabc\r\n')
  assert.equal(encodeChunk(new Uint8Array(0)).byteLength, 0)
})

test('requests that cannot be sent are refused', async () => {
  for (const init of [{ method: 'CONNECT' }, { method: 'a b' }, { method: 'G\r\nET' }, { body: 'x' }, { headers: { 'a b': 'c' } }]) {
    await assert.rejects(prepareRequest(init), code('invalid-argument'))
  }
})

test('a tunnel\'s head has the bytes that the Rust edge reads', () => {
  const bytes = encodeTunnelHead({ port: 9527, openDeadlineMs: 10_000, key: 'pwk_x' })
  const fields = new Fields(bytes.subarray(1))
  assert.equal(bytes[0], bytes.byteLength - 1)
  assert.equal(fields.number(1), 9527)
  assert.equal(fields.bytes(2)?.byteLength, 16)
  assert.equal(fields.number(3), 10_000)
  assert.equal(fields.number(4), 0)
  assert.equal(fields.text(5), 'pwk_x')
  assert.deepEqual([...bytes.subarray(1, 4)], [0x08, 0xb7, 0x4a])
  const late = new Fields(encodeTunnelHead({ port: 1, openDeadlineMs: 1e9 }).subarray(1))
  assert.equal(late.number(3), 60_000)
  assert.throws(() => encodeTunnelHead({ port: 1, openDeadlineMs: 1, key: 'k'.repeat(257) }), code('invalid-argument'))
})

test('an edge\'s answer says who is at fault', () => {
  assert.equal(decodeAnswer(new Uint8Array(0)), undefined)
  const refusal = (reason: number): PeerworkError | undefined => {
    return decodeAnswer(bytesField(1, concat([numberField(1, reason), bytesField(2, utf8('why'))])))
  }
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 99].map((reason) => refusal(reason)?.code), [
    'edge-refused', 'port-not-allowed', 'key-missing', 'key-invalid', 'edge-refused', 'app-unreachable',
    'app-timeout', 'edge-busy', 'edge-busy', 'edge-refused'
  ])
  assert.match(refusal(5)?.message ?? '', /why/)
  assert.equal(refusal(5)?.side, 'app')
  assert.throws(() => decodeAnswer(Uint8Array.of(0x0a, 0x05)), code('bad-answer'))
})

test('a directory\'s answer says where an edge is', async () => {
  const relay = (await Identity.generate()).peerId
  const id = (peer: string): Uint8Array => peerIdFromString(peer).toMultihash().bytes
  const address = multiaddr('/ip4/192.0.2.1/tcp/4')
  const advertisement = concat([
    bytesField(1, id(edge)),
    numberField(3, 7),
    bytesField(9, concat([bytesField(1, id(relay)), bytesField(2, utf8('/ip4/192.0.2.2/tcp/5'))])),
    bytesField(10, address.bytes),
    bytesField(10, Uint8Array.of(1, 2, 3)),
    // A fixed32 field, which is skipped.
    Uint8Array.of(21 << 3 & 0x7f | 0x85, 1, 0, 0, 0, 0)
  ])
  const envelope = (type: string, payload: Uint8Array): Uint8Array => concat([
    bytesField(2, utf8(type)), bytesField(3, payload), bytesField(5, utf8('signature'))
  ])
  const heartbeat = envelope('/peerwork/directory/heartbeat', new Uint8Array(0))
  const chunk = (...envelopes: Uint8Array[]): Uint8Array => {
    return bytesField(3, concat([...envelopes.map((one) => bytesField(1, one)), numberField(2, 1)]))
  }
  const answer = chunk(heartbeat, envelope('/peerwork/directory/advertisement', advertisement))
  assert.deepEqual(parseResponse(answer, edge), {
    relays: [{ id: relay, address: '/ip4/192.0.2.2/tcp/5' }], addresses: ['/ip4/192.0.2.1/tcp/4']
  })
  assert.equal(parseResponse(answer, relay), undefined)
  assert.equal(parseResponse(chunk(), edge), undefined)
  assert.throws(() => parseResponse(bytesField(2, numberField(1, 11)), edge), code('edge-busy'))
  assert.throws(() => parseResponse(new Uint8Array(0), edge), code('bad-answer'))
})

test('numbers survive protobuf, and any bytes are decoded or refused', () => {
  for (const number of [1, 127, 128, 300, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    assert.equal(new Fields(numberField(3, number)).number(3), number)
  }
  assert.deepEqual([...varint(300)], [0xac, 0x02])
  for (let round = 0; round < 5000; round += 1) {
    const bytes = crypto.getRandomValues(new Uint8Array(round % 60))
    try {
      new Fields(bytes).text(1)
    } catch (error) {
      assert.ok(code('bad-answer')(error), String(error))
    }
  }
})
