import assert from 'node:assert/strict'
import test from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { HTTP_FIELDS_MAX, HTTP_HEAD_BYTES_MAX } from '../../src/limits.js'
import { readBody, readHead } from '../../src/fetch/response-parser.js'
import type { ByteSource, ResponseHead } from '../../src/fetch/response-parser.js'

const never = new AbortController().signal

/** A source that returns its bytes in pieces of one size. */
function source (text: string, piece = text.length): ByteSource & { rest: () => string } {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < text.length; at += Math.max(1, piece)) {
    chunks.push(Uint8Array.from(text.slice(at, at + piece), (char) => char.charCodeAt(0)))
  }
  return {
    read: async () => chunks.shift() ?? null,
    unread: (bytes) => { if (bytes.byteLength > 0) chunks.unshift(bytes) },
    rest: () => chunks.map((chunk) => Buffer.from(chunk).toString('latin1')).join('')
  }
}

async function parse (text: string, method = 'GET', piece?: number): Promise<{ head: ResponseHead, body: string, rest: string }> {
  const from = source(text, piece)
  const head = await readHead(from, method, never)
  let body = ''
  for await (const part of readBody(from, head.framing, never)) body += Buffer.from(part).toString('latin1')
  return { head, body, rest: from.rest() }
}

async function refused (text: string, code: string, method = 'GET'): Promise<void> {
  await assert.rejects(parse(text, method), (error: unknown) => {
    assert.ok(error instanceof PeerworkError, String(error))
    assert.equal(error.code, code, error.message)
    return true
  })
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a:2 \r\n\r\n' +
  '4;name="x"\r\nabcd\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: t\r\n\r\nnext'

test('a response means the same however its bytes are cut', async () => {
  for (let piece = 1; piece <= CHUNKED.length; piece += 1) {
    const { head, body, rest } = await parse(CHUNKED, 'GET', piece)
    assert.equal(head.status, 200)
    assert.equal(head.statusText, 'OK')
    assert.deepEqual(head.fields, [['transfer-encoding', 'chunked'], ['x-a', '1'], ['x-a', '2']])
    assert.equal(body, 'abcdabcdefghijklmnopqrstuvwxyz')
    assert.equal(rest, 'next')
  }
})

test('a content length bounds the body, and the bytes after it are left', async () => {
  const { body, rest } = await parse('HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabcdef')
  assert.equal(body, 'abc')
  assert.equal(rest, 'def')
})

test('without a length the body ends with the stream', async () => {
  const { head, body } = await parse('HTTP/1.0 404 Not Found\r\n\r\nno such page', 'GET', 5)
  assert.equal(head.status, 404)
  assert.equal(body, 'no such page')
})

test('informational responses are passed over', async () => {
  const { head, body } = await parse('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nlink: x\r\n\r\nHTTP/1.1 200\r\ncontent-length: 1\r\n\r\na')
  assert.equal(head.status, 200)
  assert.equal(head.statusText, '')
  assert.equal(body, 'a')
  await refused('HTTP/1.1 102 x\r\n\r\n'.repeat(17), 'bad-answer')
})

test('answers to HEAD, 204 and 304 have no body whatever they say', async () => {
  for (const [method, status] of [['HEAD', 200], ['GET', 204], ['GET', 304]] as const) {
    const { body, rest } = await parse(`HTTP/1.1 ${status} x\r\ncontent-length: 3\r\n\r\nabc`, method)
    assert.equal(body, '')
    assert.equal(rest, 'abc')
  }
})

test('lines may end with a line feed alone', async () => {
  const { head, body } = await parse('HTTP/1.1 200 OK\nx: y\ncontent-length: 2\n\nok')
  assert.deepEqual(head.fields[0], ['x', 'y'])
  assert.equal(body, 'ok')
})

test('a response that two parsers could read differently is refused', async () => {
  await refused('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\n folded: x\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\nno colon\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\nname : x\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n', 'bad-answer')
  await refused('HTTP/2 200\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 101 Switching\r\n\r\n', 'bad-answer')
  await refused('HTTP/1.1 600 x\r\n\r\n', 'bad-answer')
  await refused('SSH-2.0-x\r\n', 'bad-answer')
})

test('malformed chunks are refused', async () => {
  const head = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'
  for (const body of ['x\r\n', '-1\r\n', '0x1\r\na\r\n', '1\r\nab\r\n', '\r\n', 'ffffffffffffffff\r\n', `1;${'x'.repeat(5000)}\r\n`]) {
    await refused(head + body, 'bad-answer')
  }
})

test('every early end is a cut-off', async () => {
  for (let end = 0; end < CHUNKED.length - 'next'.length; end += 1) await refused(CHUNKED.slice(0, end), 'cut-off')
  await refused('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc', 'cut-off')
})

test('heads are bounded, at the limit and one beyond', async () => {
  const empty = 'HTTP/1.1 200 OK\r\nx: \r\n\r\n'
  const filled = (bytes: number): string => empty.replace('x: ', `x: ${'a'.repeat(bytes - empty.length)}`)
  assert.equal((await parse(filled(HTTP_HEAD_BYTES_MAX))).head.status, 200)
  await refused(filled(HTTP_HEAD_BYTES_MAX + 1), 'bad-answer')
  const fields = (count: number): string => `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(count)}\r\n`
  assert.equal((await parse(fields(HTTP_FIELDS_MAX))).head.fields.length, HTTP_FIELDS_MAX)
  await refused(fields(HTTP_FIELDS_MAX + 1), 'bad-answer')
  await refused('a'.repeat(HTTP_HEAD_BYTES_MAX * 2), 'bad-answer')
})

test('any bytes are a response or an error of this package', async () => {
  let seed = 1
  const random = (below: number): number => {
    seed = Math.imul(seed, 48271) >>> 0
    return (seed >>> 8) % below
  }
  for (let round = 0; round < 2000; round += 1) {
    const chars = [...CHUNKED]
    for (let change = random(6); change >= 0; change -= 1) {
      chars.splice(random(chars.length), random(3), String.fromCharCode(random(256)))
    }
    await parse(chars.join(''), 'GET', 1 + random(40)).catch((error: unknown) => {
      assert.ok(error instanceof PeerworkError, String(error))
    })
  }
})
