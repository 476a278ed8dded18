/** Tests the provider of Yjs on fake nodes, which lose messages and connections as told. */

import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { PeerworkError } from '../../src/index.js'
import { PEERS_MAX, YJS_PENDING_BYTES_MAX, YJS_UPDATE_BYTES_MAX } from '../../src/limits.js'
import { PeerworkProvider } from '../../src/yjs/index.js'
import { MUTE_MS, Guard } from '../../src/yjs/guard.js'
import { Outbox } from '../../src/yjs/outbox.js'
import { Replica, isSound } from '../../src/yjs/replica.js'
import { FakeRoom, seeded } from '../support/fake-room.js'
import { until } from '../support/until.js'
import type { FakeNode } from '../support/fake-room.js'
import type { ProviderOptions } from '../../src/yjs/index.js'

const TOPIC = 'yjs.doc.doc'
/** The size of a document that is sent in several pieces. */
const DOCUMENT_BYTES = 200_000
const providers: PeerworkProvider[] = []

afterEach(async () => { await Promise.all(providers.splice(0).map(async (provider) => { await provider.destroy() })) })

function open (node: FakeNode, options: ProviderOptions = {}, doc = new Y.Doc()): PeerworkProvider {
  const provider = new PeerworkProvider(node, doc, options)
  providers.push(provider)
  return provider
}

const textOf = ({ doc }: PeerworkProvider): string => doc.getText('t').toString()
const content = ({ doc }: PeerworkProvider): string => JSON.stringify([
  doc.getText('t').toDelta(), Object.entries(doc.getMap('m').toJSON()).sort(), doc.getArray('a').toJSON()
])
const agree = (all: PeerworkProvider[]): boolean => new Set(all.map(content)).size === 1

/** One random edit of a text, a map or a list. */
function edit ({ doc }: PeerworkProvider, random: () => number): void {
  const below = (bound: number): number => Math.floor(random() * bound)
  const [text, map, list] = [doc.getText('t'), doc.getMap('m'), doc.getArray('a')]
  const kinds = [
    () => { text.insert(below(text.length + 1), 'abcdefgh'.slice(0, 1 + below(8))) },
    () => { if (text.length > 0) text.delete(below(text.length), 1) },
    () => { if (text.length > 2) text.format(below(text.length - 1), 1, { bold: random() < 0.5 }) },
    () => { map.set(`k${below(4)}`, below(100)) },
    () => { map.delete(`k${below(4)}`) },
    () => { list.insert(below(list.length + 1), [below(10), { n: below(10) }]) },
    () => { if (list.length > 0) list.delete(below(list.length), 1) }
  ]
  kinds[below(kinds.length)]?.()
}

test('random edits at three nodes agree, with lost messages and cut connections', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const room = new FakeRoom(seed)
    room.loss = 0.2
    const nodes = [room.join(), room.join(), room.join()]
    const all = nodes.map((node) => open(node, { name: `seed ${seed}` }))
    for (let step = 0; step < 60; step += 1) {
      const at = Math.floor(room.random() * 3)
      const [node, provider] = [nodes[at], all[at]] as [FakeNode, PeerworkProvider]
      if (room.random() < 0.08) {
        if (node.isConnected) node.cut()
        else node.heal()
      }
      edit(provider, room.random)
      if (room.random() < 0.3) await new Promise((resolve) => { setImmediate(resolve) })
    }
    room.loss = 0
    for (const node of nodes) if (!node.isConnected) node.heal()
    for (const node of nodes) node.refresh()
    await until(`agreement with seed ${seed}`, () => agree(all) && all.every(({ doc }) => doc.store.pendingStructs === null))
    await Promise.all(all.map(async (provider) => { await provider.destroy() }))
  }
})

test('a provider opens, edits and closes as y-webrtc does', async () => {
  const room = new FakeRoom()
  const [a, b] = [room.join(), room.join()]
  const one = open(a)
  const events: unknown[] = []
  one.on('sync', (isSynced) => { events.push(['sync', isSynced]) })
  one.on('synced', ({ synced }) => { events.push(['synced', synced]) })
  one.on('status', ({ status, connected }) => { events.push(['status', status, connected]) })
  one.on('peers', ({ added, removed, peers }) => { events.push(['peers', added, removed, peers]) })
  one.once('sync', () => { events.push('once') })
  assert.equal(await one.whenSynced, one)
  assert.equal(one.synced, true)
  const two = open(b)
  await two.whenSynced
  await until('the peers', () => one.peers.length === 1 && two.peers.length === 1)
  a.cut()
  assert.equal(one.synced, false)
  a.heal()
  await until('the return', () => one.synced)
  a.cut()
  a.heal()
  await until('the return after a short cut', () => one.synced)
  one.disconnect()
  one.doc.getText('t').insert(0, 'offline ')
  one.connect()
  await until('the edit', () => textOf(two) === 'offline ')
  const destroyed = new Promise((resolve) => { one.once('destroy', resolve) })
  one.doc.getText('t').insert(0, 'last ')
  await one.destroy()
  assert.equal(await destroyed, one)
  await until('the last edit', () => textOf(two) === 'last offline ')
  await until('the departure', () => two.peers.length === 0)
  assert.deepEqual(events.slice(0, 4), [['synced', true], ['sync', true], 'once', ['peers', ['peer1'], [], ['peer1']]])
  assert.deepEqual(events.filter((event) => Array.isArray(event) && event[0] === 'status'), [
    ...Array.from({ length: 3 }, () => [['status', 'disconnected', false], ['status', 'connected', true]]).flat(),
    ['status', 'disconnected', false]
  ])
})

test('a node has one provider for a name at a time, and names have bounds', () => {
  const node = new FakeRoom().join()
  const invalid = (error: unknown): boolean => error instanceof PeerworkError && error.code === 'invalid-argument'
  const first = open(node)
  assert.throws(() => open(node), invalid)
  open(node, { name: 'other' })
  void first.destroy()
  open(node)
  open(node, { name: 'n'.repeat(80) })
  for (const name of ['', 'n'.repeat(81), '\ud800']) assert.throws(() => open(node, { name }), invalid)
})

test('an update of a peer is applied once, with the provider as origin, and is not published again', async () => {
  const room = new FakeRoom()
  const all = [room.join(), room.join(), room.join()].map((node) => open(node))
  await until('all to know all', () => all.every(({ peers, synced }) => peers.length === 2 && synced))
  const [one, two] = all as [PeerworkProvider, PeerworkProvider]
  const undo = new Y.UndoManager(two.doc.getText('t'))
  const origins: unknown[] = []
  two.doc.on('update', (_update, origin) => { origins.push(origin) })
  one.doc.getText('t').insert(0, 'by one')
  await until('the update', () => all.every((provider) => textOf(provider) === 'by one'))
  assert.deepEqual(origins, [two])
  assert.deepEqual([0, 1, 2].map((at) => room.published.get(`peer${at} ${TOPIC}`)), [1, undefined, undefined])
  assert.equal(undo.undo(), null)
  two.doc.getText('t').insert(0, 'by two, ')
  undo.undo()
  await until('the undo', () => textOf(one) === 'by one')
})

test('a thousand updates at once become few messages', async () => {
  const room = new FakeRoom()
  const [one, two] = [open(room.join()), open(room.join())]
  await until('both to be synced', () => one.synced && two.synced && one.peers.length === 1)
  for (let at = 0; at < 1000; at += 1) one.doc.getText('t').insert(at, String(at % 10))
  await until('the burst', () => textOf(two).length === 1000)
  assert.ok((room.published.get(`peer0 ${TOPIC}`) ?? 0) <= 3)
})

test('an update beyond the size of a message is fetched', async () => {
  const room = new FakeRoom()
  const all = [room.join(), room.join()].map((node) => open(node))
  await until('both to be synced', () => all.every(({ synced, peers }) => synced && peers.length === 1))
  const [one, two] = all as [PeerworkProvider, PeerworkProvider]
  for (const size of [YJS_UPDATE_BYTES_MAX + 1, 5 * 1024 * 1024]) {
    one.doc.getText('t').insert(0, 'x'.repeat(size))
    await until('the large update', () => textOf(two).length === textOf(one).length)
  }
})

test('an update beyond the size that the relays forward is fetched', async () => {
  const room = new FakeRoom()
  room.bytesMax = 100
  const [one, two] = [open(room.join()), open(room.join())]
  await until('both to be synced', () => one.synced && two.synced && one.peers.length === 1)
  one.doc.getText('t').insert(0, 'x'.repeat(200))
  await until('the announcement', () => room.published.get(`peer0 ${TOPIC}`) === 1, 3000)
  await until('the update', () => textOf(two).length === 200)
})

test('the outbox keeps to the size of a message at the limit and one beyond', async () => {
  const sent: string[] = []
  const outbox = new Outbox({
    publish: async ({ byteLength }) => { sent.push(`update ${byteLength}`); return true },
    announce: async () => { sent.push('announce'); return true }
  })
  outbox.open()
  const updateOf = (bytes: number, length = bytes): Uint8Array => {
    const doc = new Y.Doc()
    doc.clientID = 1
    doc.getText('t').insert(0, 'x'.repeat(length))
    const update = Y.encodeStateAsUpdate(doc)
    return update.byteLength === bytes ? update : updateOf(bytes, length + bytes - update.byteLength)
  }
  for (const bytes of [YJS_UPDATE_BYTES_MAX, YJS_UPDATE_BYTES_MAX + 1]) {
    outbox.add(updateOf(bytes))
    await outbox.flush()
  }
  assert.deepEqual(sent, [`update ${YJS_UPDATE_BYTES_MAX}`, 'announce'])
})

test('a document with updates that wait for others stays bounded, and does not spread them', async () => {
  const doc = new Y.Doc()
  const replica = new Replica(doc, 'peer')
  doc.getText('t').insert(0, 'own')
  const orphan = (size: number): Uint8Array => {
    const far = new Y.Doc()
    far.getText('t').insert(0, 'a')
    const vector = Y.encodeStateVector(far)
    far.getText('t').insert(1, 'x'.repeat(size))
    return Y.encodeStateAsUpdate(far, vector)
  }
  replica.take(orphan(1000))
  assert.equal(replica.waits, true)
  assert.ok(replica.since(Y.encodeStateVector(new Y.Doc())).byteLength < 100)
  assert.equal(replica.waits, true)
  for (let at = 0; at < 2 * YJS_PENDING_BYTES_MAX / 100_000; at += 1) {
    replica.take(orphan(100_000))
    assert.ok((doc.store.pendingStructs?.update.byteLength ?? 0) <= YJS_PENDING_BYTES_MAX)
  }
  replica.dropStale()
  replica.dropStale()
  assert.equal(replica.waits, false)
  assert.equal(doc.getText('t').toString(), 'own')
})

test('malformed updates are refused and change nothing', ({ mock }) => {
  mock.method(console, 'error', () => {})
  const random = seeded(7)
  const doc = new Y.Doc()
  doc.getText('t').insert(0, 'hello world')
  doc.getMap('m').set('k', [1, { two: 2 }])
  doc.getText('t').delete(2, 3)
  const whole = Y.encodeStateAsUpdate(doc)
  const own = new Y.Doc()
  const replica = new Replica(own, 'peer')
  own.getText('t').insert(0, 'mine')
  for (let at = 0; at < 4000; at += 1) {
    const bytes = at % 2 === 0
      ? Uint8Array.from({ length: Math.floor(random() * 64) }, () => Math.floor(random() * 256))
      : whole.map((byte) => random() < 0.05 ? Math.floor(random() * 256) : byte)
    const before = content({ doc: own } as PeerworkProvider)
    const wasSound = isSound(bytes)
    try {
      replica.take(bytes)
      assert.ok(wasSound)
    } catch (error) {
      assert.ok(!wasSound && error instanceof PeerworkError && error.code === 'bad-answer', String(error))
      assert.equal(content({ doc: own } as PeerworkProvider), before)
    }
  }
  own.getText('t').insert(0, 'still ')
  assert.ok(own.getText('t').toString().startsWith('still '))
})

test('updates that claim huge numbers are refused before Yjs makes room for them', () => {
  const varUint = (value: number): number[] => value < 128 ? [value] : [128 + value % 128, ...varUint(Math.floor(value / 128))]
  const skip = (clock: number, length: number): Uint8Array => Uint8Array.from([1, 1, ...varUint(5), ...varUint(clock), 0, ...varUint(length), 0])
  assert.equal(isSound(skip(0, 2 ** 48)), true)
  assert.equal(isSound(skip(1, 2 ** 48)), false)
  assert.equal(isSound(skip(2 ** 48, 1)), false)
  assert.equal(isSound(skip(0, 0)), false)
  assert.equal(isSound(Uint8Array.from([1, ...varUint(2 ** 32 - 2), 5, 0, 0])), false)
  assert.equal(isSound(Uint8Array.from([1, ...varUint(30_000_000), 5, 0, 0])), false)
  // A view into a larger buffer must not be read beyond its end.
  const doc = new Y.Doc()
  doc.getText('t').insert(0, 'secret')
  const update = Y.encodeStateAsUpdate(doc)
  assert.throws(() => { new Replica(new Y.Doc(), 0).take(update.subarray(0, update.byteLength - 4)) })
})

test('a peer that sends garbage is ignored for a time, and the others go on', async () => {
  const room = new FakeRoom()
  const [one, two] = [open(room.join()), open(room.join())]
  const hostile = room.join()
  await until('both to be synced', () => one.synced && two.synced && one.peers.length === 1)
  await hostile.publish(TOPIC, Uint8Array.of(1, 0, 255, 255, 255))
  const good = new Y.Doc()
  good.getText('t').insert(0, 'too late')
  await hostile.publish(TOPIC, Uint8Array.of(1, 0, ...Y.encodeStateAsUpdate(good)))
  one.doc.getText('t').insert(0, 'fine')
  await until('the edit', () => textOf(two) === 'fine')
  assert.equal(textOf(one), 'fine')
  const guard = new Guard({ burst: 2, perSecond: 1 })
  guard.mute('p', 0)
  assert.deepEqual([guard.isMuted('p', MUTE_MS - 1), guard.isMuted('p', MUTE_MS), guard.isMuted('q', 0)], [true, false, false])
  assert.deepEqual([0, 0, 0, 999, 1000].map((now) => guard.allows('p', now)), [true, true, false, false, true])
})

test('a peer has one awareness state, sets no other peer\'s, and takes it along when it leaves', async () => {
  const room = new FakeRoom()
  const [a, b, hostile] = [room.join(), room.join(), room.join()]
  const [one, two] = [open(a), open(b)]
  one.awareness.setLocalStateField('user', { name: 'one' })
  two.awareness.setLocalStateField('user', { name: 'two' })
  const seenOf = (provider: PeerworkProvider, client: number): unknown => provider.awareness.getStates().get(client)?.['user']
  const [idOne, idTwo] = [one.awareness.clientID, two.awareness.clientID]
  await until('both states', () => seenOf(one, idTwo) !== undefined && seenOf(two, idOne) !== undefined)
  const say = async (client: number, state: unknown, clock = 1000): Promise<void> => {
    await hostile.publish('yjs.awareness.doc', { v: 1, ask: false, client, clock, state } as never)
  }
  await say(idOne, { user: 'forged' })
  await say(idTwo, null)
  await say(77, { user: 'x'.repeat(9000) })
  await say(-1, {})
  await say(77, 'no object')
  await say(77, { user: 'hostile' })
  await say(78, { user: 'hostile again' })
  await until('the last state', () => one.awareness.getStates().has(78))
  assert.deepEqual([seenOf(one, idOne), seenOf(one, idTwo), seenOf(two, idOne)], [{ name: 'one' }, { name: 'two' }, { name: 'one' }])
  assert.deepEqual([...one.awareness.getStates().keys()].sort(), [78, idOne, idTwo].sort())
  hostile.cut()
  assert.equal(one.awareness.getStates().has(78), false)
  await two.destroy()
  await until('the departure', () => !one.awareness.getStates().has(idTwo))
})

test('a late provider learns the awareness of all, and one that returns is seen again', async () => {
  const room = new FakeRoom()
  const a = room.join()
  const one = open(a)
  one.awareness.setLocalStateField('user', 'one')
  const own = new Awareness(new Y.Doc())
  const two = open(room.join(), { awareness: own })
  const sees = (): boolean => own.getStates().get(one.awareness.clientID)?.['user'] === 'one'
  await until('the first state', sees)
  a.cut()
  assert.equal(sees(), false)
  a.heal()
  await until('the state after the return', sees)
  await two.destroy()
  assert.notEqual(own.getLocalState(), null)
  own.destroy()
})

test('an awareness state that changed right before a disconnection is seen after the return', async () => {
  const room = new FakeRoom()
  const [one, two] = [open(room.join()), open(room.join())]
  await until('both to be synced', () => one.synced && two.synced && one.peers.length === 1 && two.peers.length === 1)
  one.awareness.setLocalStateField('user', 'one')
  one.disconnect()
  await until('the departure', () => two.peers.length === 0)
  one.connect()
  await until('the state after the return', () => two.awareness.getStates().get(one.awareness.clientID)?.['user'] === 'one', 3000)
})

test('a provider remembers a limited number of peers, and present peers before others', async () => {
  const room = new FakeRoom()
  const node = room.join()
  const one = open(node)
  const [early, late] = [room.join(), room.join()]
  const says = (from: string): void => { node.hear({ from, topic: TOPIC, data: Uint8Array.of(1, 1) }) }
  const heard: string[] = []
  one.on('peers', ({ added, removed }) => { heard.push(...added, ...removed.map((peer) => `-${peer}`)) })
  says(early.peerId)
  for (let at = 0; at < PEERS_MAX; at += 1) says(`stranger ${at}`)
  says(late.peerId)
  assert.deepEqual(one.peers, [early.peerId, late.peerId])
  assert.deepEqual(heard.slice(PEERS_MAX), ['-stranger 0', `stranger ${PEERS_MAX - 1}`, '-stranger 1', late.peerId])
})

test('a provider that is disconnected during a comparison takes nothing of it', async () => {
  const room = new FakeRoom()
  const [a, b] = [room.join(), room.join()]
  const two = open(b)
  two.doc.getText('t').insert(0, 'theirs')
  await until('the edit to be published', () => room.published.get(`peer1 ${TOPIC}`) === 1)
  const one = open(a, { connect: false })
  const openStream = a.openStream.bind(a)
  let opened = 0
  a.openStream = async (...args) => {
    const stream = await openStream(...args)
    opened += 1
    // At first before the comparison begins, then in the middle of it.
    if (opened === 1) one.disconnect()
    else void (async () => { for (let turn = 0; turn < 8; turn += 1) await null; one.disconnect() })()
    return stream
  }
  for (const wanted of [1, 2]) {
    one.connect()
    await until('the comparison to begin', () => opened === wanted)
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => { setImmediate(resolve) })
    assert.deepEqual([textOf(one), one.peers], ['', []], `comparison ${wanted}`)
  }
})

test('a document is sent once when both sides begin to compare at the same moment', async () => {
  for (const holder of [0, 1]) {
    for (const late of [undefined, 0, 1]) {
      const room = new FakeRoom()
      const nodes = [room.join(), room.join()]
      const all = nodes.map((node, at) => {
        const doc = new Y.Doc()
        if (at === holder) doc.getText('t').insert(0, 'x'.repeat(DOCUMENT_BYTES))
        return open(node, { connect: false }, doc)
      })
      const opened: Array<() => void> = []
      for (const [at, node] of nodes.entries()) {
        const openStream = node.openStream.bind(node)
        node.openStream = async (...args) => {
          const stream = await openStream(...args)
          // Both sides have opened a stream before one of them sends its request.
          await new Promise<void>((resolve) => { opened.push(resolve); if (opened.length >= 2) for (const go of opened) go() })
          while (at === late && room.streamBytes < DOCUMENT_BYTES / 4) await null
          return stream
        }
      }
      for (const provider of all) provider.connect()
      await Promise.all(all.map(async ({ whenSynced }) => await whenSynced))
      const story = `from ${holder}, late ${late ?? 'neither'}`
      assert.ok(agree(all), `both have the document: ${story}`)
      assert.ok(room.streamBytes < 1.5 * DOCUMENT_BYTES, `${room.streamBytes} bytes were sent: ${story}`)
      await Promise.all(all.map(async (provider) => { await provider.destroy() }))
    }
  }
})

test('edits of a node that leaves arrive', async () => {
  const room = new FakeRoom()
  const [a, b] = [room.join(), room.join()]
  const [one, two] = [open(a), open(b)]
  await until('both to be synced', () => one.synced && two.synced && one.peers.length === 1)
  one.doc.getText('t').insert(0, 'at the last moment')
  await a.leave()
  await until('the last edit', () => textOf(two) === 'at the last moment')
})
