/** Tests the bounds of the provider of Yjs: each at the limit and one beyond. */

import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import * as Y from 'yjs'
import { PeerworkError } from '../../src/index.js'
import { YJS_ANSWERS_MAX, YJS_AWARENESS_BYTES_MAX, YJS_DOC_BYTES_MAX } from '../../src/limits.js'
import { PROTOCOL } from '../../src/yjs/docs.js'
import { requestDoc, serveDoc } from '../../src/yjs/exchange.js'
import { PeerworkProvider } from '../../src/yjs/index.js'
import { PeerFrames } from '../../src/yjs/peer-frames.js'
import { Replica } from '../../src/yjs/replica.js'
import { FakeRoom } from '../support/fake-room.js'
import { until } from '../support/until.js'
import type { FakeNode } from '../support/fake-room.js'
import type { PeerStream } from '../../src/index.js'

const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted
const providers: PeerworkProvider[] = []

afterEach(async () => { await Promise.all(providers.splice(0).map(async (provider) => { await provider.destroy() })) })

function open (node: FakeNode): PeerworkProvider {
  const provider = new PeerworkProvider(node, new Y.Doc())
  providers.push(provider)
  return provider
}

/** Both ends of a stream between two fake nodes. */
async function streams (): Promise<[PeerStream, PeerStream]> {
  const room = new FakeRoom()
  const [a, b] = [room.join(), room.join()]
  let taken: PeerStream | undefined
  await b.handleStream('x', (stream) => { taken = stream })
  const opened = await a.openStream(b.peerId, 'x')
  assert.ok(taken !== undefined)
  return [opened, taken]
}

test('a document of the largest size is sent, and one byte more is refused', () => {
  const replicaOf = (bytes: number, length = bytes): Replica => {
    const doc = new Y.Doc()
    doc.clientID = 1
    doc.getText('t').insert(0, 'x'.repeat(length))
    const { byteLength } = Y.encodeStateAsUpdate(doc)
    return byteLength === bytes ? new Replica(doc, 0) : replicaOf(bytes, length + bytes - byteLength)
  }
  const none = Y.encodeStateVector(new Y.Doc())
  assert.equal(replicaOf(YJS_DOC_BYTES_MAX).since(none).byteLength, YJS_DOC_BYTES_MAX)
  assert.throws(() => replicaOf(YJS_DOC_BYTES_MAX + 1).since(none), code('too-large'))
})

test('a document that is too large is an error at both providers, and moves no bytes', async () => {
  const room = new FakeRoom()
  const [large, small] = [open(room.join()), open(room.join())]
  const failures: PeerworkError[][] = [large, small].map((provider) => {
    const errors: PeerworkError[] = []
    provider.on('connection-error', (error) => { errors.push(error) })
    return errors
  })
  large.doc.getText('t').insert(0, 'x'.repeat(YJS_DOC_BYTES_MAX + 1))
  await until('both providers to report', () => failures.every((errors) => errors.some(code('too-large'))))
  assert.equal(small.doc.getText('t').length, 0)
  assert.equal(small.synced, false)
})

test('a frame of the largest size is read, and one byte more is refused before it is read', async () => {
  for (const [size, isRead] of [[1000, true], [1001, false]] as const) {
    const [out, in_] = await streams()
    const writing = PeerFrames.use(out, async (frames) => { await frames.write(new Uint8Array(size)) }).catch(() => {})
    const reading = PeerFrames.use(in_, async (frames) => (await frames.read(1000)).byteLength)
    if (isRead) assert.equal(await reading, size)
    else await assert.rejects(reading, code('bad-answer'))
    await writing
  }
})

test('nonsense in place of a comparison is an error at the other side, in both roles', async () => {
  const replica = new Replica(new Y.Doc(), 0)
  const heads = ['no json', '{}', '{"v":2,"name":"doc","digest":""}', `{"v":1,"name":"doc","digest":"${'d'.repeat(65)}"}`]
  const frame = (text: string): Uint8Array => new TextEncoder().encode(text)
  for (const head of heads) {
    const [out, in_] = await streams()
    PeerFrames.use(out, async (frames) => { await frames.write(frame(head), replica.vector) }).catch(() => {})
    await assert.rejects(serveDoc(in_, () => replica), code('bad-answer'))
  }
  for (const answer of ['no json', '7']) {
    const [out, in_] = await streams()
    PeerFrames.use(in_, async (frames) => {
      for (const bytesMax of [1024, 1024]) await frames.read(bytesMax)
      await frames.write(frame(answer))
    }).catch(() => {})
    await assert.rejects(requestDoc(out, 'doc', replica), code('bad-answer'))
  }
  const [out, in_] = await streams()
  const serving = serveDoc(in_, () => replica)
  const malformed = Uint8Array.of(255, 255, 255)
  PeerFrames.use(out, async (frames) => { await frames.write(frame('{"v":1,"name":"doc","digest":"other"}'), malformed) }).catch(() => {})
  await assert.rejects(serving, code('bad-answer'))
})

test('a node answers a number of comparisons at once, and tells one more that it is busy', async () => {
  const room = new FakeRoom()
  const host = room.join()
  open(host)
  const guest = room.join()
  const compare = async (): Promise<unknown> => {
    return await requestDoc(await guest.openStream(host.peerId, PROTOCOL), 'doc', new Replica(new Y.Doc(), 0))
  }
  const held: PeerStream[] = []
  for (let at = 0; at < YJS_ANSWERS_MAX - 1; at += 1) held.push(await room.join().openStream(host.peerId, PROTOCOL))
  assert.deepEqual(await compare(), { known: true })
  held.push(await room.join().openStream(host.peerId, PROTOCOL))
  await assert.rejects(compare(), code('peer-busy'))
  held.pop()?.abort(new Error('no longer needed'))
  await until('a free place', async () => await compare().then(() => true, () => false))
  for (const stream of held) stream.abort(new Error('the test is over'))
})

test('an awareness state of the largest size is seen, and a larger one is an error of the provider', async () => {
  const room = new FakeRoom()
  const [one, two] = [open(room.join()), open(room.join())]
  const failures: PeerworkError[] = []
  one.on('connection-error', (error) => { failures.push(error) })
  const length = YJS_AWARENESS_BYTES_MAX - JSON.stringify({ x: '' }).length
  const seen = (): unknown => two.awareness.getStates().get(one.awareness.clientID)?.['x']
  one.awareness.setLocalState({ x: 'x'.repeat(length) })
  await until('the state', () => (seen() as string | undefined)?.length === length)
  assert.deepEqual(failures, [])
  one.awareness.setLocalState({ x: 'x'.repeat(length + 1) })
  await until('the failure', () => failures.length > 0)
  assert.ok(code('too-large')(failures[0]))
  await until('the state to go', () => seen() === undefined)
})

test('a peer that compares too often is told that the node is busy', async () => {
  const room = new FakeRoom()
  const host = room.join()
  open(host)
  const guest = room.join()
  const outcomes: string[] = []
  for (let at = 0; at < 22; at += 1) {
    const stream = await guest.openStream(host.peerId, PROTOCOL)
    outcomes.push(await requestDoc(stream, 'doc', new Replica(new Y.Doc(), 0)).then(() => 'compared', (error: PeerworkError) => error.code))
  }
  assert.ok(outcomes.slice(0, 20).every((outcome) => outcome === 'compared'), outcomes.join())
  assert.ok(outcomes.includes('peer-busy'), outcomes.join())
})

test('a provider that is disconnected answers no comparison, and takes nothing', async () => {
  const room = new FakeRoom()
  const [host, guest] = [room.join(), room.join()]
  const provider = open(host)
  const compare = async (): Promise<unknown> => {
    const doc = new Y.Doc()
    doc.getText('t').insert(0, 'x')
    return await requestDoc(await guest.openStream(host.peerId, PROTOCOL), 'doc', new Replica(doc, 0))
  }
  provider.disconnect()
  assert.deepEqual(await compare(), { known: false })
  assert.equal(provider.doc.getText('t').toString(), '')
  provider.connect()
  await compare()
  assert.equal(provider.doc.getText('t').toString(), 'x')
})
