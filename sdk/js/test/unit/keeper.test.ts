/** Tests how a shared state uses its storage, with a storage in memory. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { Identity, PeerworkError, SharedState } from '../../src/index.js'
import { CLOCK_MAX } from '../../src/state/entries.js'
import { MemoryStorage } from '../support/memory-storage.js'
import { until } from '../support/until.js'
import type { Json, StateOptions, StateRecord } from '../../src/index.js'
import type { Topics } from '../../src/room/topics.js'
import type { Entry } from '../../src/state/entries.js'

const [self, other] = await Promise.all([0, 1].map(async () => (await Identity.generate()).peerId)) as [string, string]
const failed = (error: unknown): boolean => error instanceof PeerworkError && error.code === 'storage-failed'

interface Opened<T extends Json> {
  state: SharedState<T>
  published: Entry[]
  troubles: PeerworkError[]
}

function open<T extends Json = Json> (storage: MemoryStorage | undefined, options: StateOptions<T> = {}): Opened<T> {
  const published: Entry[] = []
  const troubles: PeerworkError[] = []
  const topics = {
    subscribe: () => () => {},
    publish: async (_topic: string, bytes: Uint8Array) => {
      const { entries } = JSON.parse(new TextDecoder().decode(bytes)) as { entries: [string, number, string, Json][] }
      published.push(...entries.map(([key, clock, author, value]) => ({ key, clock, author, value })))
      return 1
    }
  } as unknown as Topics
  const place = storage === undefined ? undefined : { storage, state: 'room/s', onTrouble: (error: PeerworkError) => { troubles.push(error) } }
  const state = new SharedState<T>('s', options, { self, topics, topic: 't', place })
  state.becomeReady()
  return { state, published, troubles }
}

function stored (...records: unknown[]): MemoryStorage {
  const storage = new MemoryStorage()
  storage.states.set('room/s', new Map(records.map((record, at) => [String(at), record as StateRecord])))
  return storage
}

test('a state is the same after a restart, with its deleted keys and its clock', async () => {
  const storage = new MemoryStorage()
  const first = open(storage)
  first.state.set('k', { deep: [1, 2] })
  first.state.set('gone', 1)
  first.state.delete('gone')
  await first.state.saved()
  const { state } = open(storage)
  await state.ready
  assert.deepEqual(state.toObject(), { k: { deep: [1, 2] } })
  state.replica.take([{ key: 'gone', value: 'older', clock: 1, author: other }])
  assert.equal(state.get('gone'), undefined)
  state.set('k', 'new')
  assert.ok((state.replica.all.find(({ key }) => key === 'k')?.clock ?? 0) > 3)
})

test('a write before loading has finished wins over stored entries of any clock, also at other peers', async () => {
  const storage = stored({ key: 'k', value: 'old', clock: 41, author: other }, { key: 'l', value: 'kept', clock: 7, author: other })
  const { state, published } = open(storage)
  const changes: unknown[] = []
  state.onChange(({ key, value }) => { changes.push([key, value]) })
  state.set('k', 'early')
  assert.deepEqual(published, [])
  await state.ready
  assert.equal(state.get('k'), 'early')
  assert.equal(state.get('l'), 'kept')
  await until('the write to be published', () => published.length > 0)
  assert.deepEqual(published, [{ key: 'k', value: 'early', clock: 42, author: self }])
  assert.deepEqual(changes, [['k', 'early'], ['l', 'kept']])
  await state.saved()
  assert.equal(open(storage).state.name, 's')
  assert.equal(storage.states.get('room/s')?.get('k')?.clock, 42)
})

test('a peer\'s write that came during loading stays the peer\'s', async () => {
  const { state } = open(stored({ key: 'k', value: 'old', clock: 3, author: other }))
  state.set('k', 'early')
  state.replica.take([{ key: 'k', value: 'theirs', clock: 9, author: other }])
  await state.ready
  assert.equal(state.get('k'), 'theirs')
})

test('a state with merge joins stored, received and early values', async () => {
  const merge = (a: number, b: number): number => Math.max(a, b)
  const storage = stored({ key: 'k', value: 7, clock: 2, author: other }, { key: 'l', value: 1, clock: 9, author: other })
  const { state, published } = open<number>(storage, { merge })
  state.set('k', 3)
  state.set('l', 4)
  state.set('l', 2)
  await state.ready
  assert.deepEqual(state.toObject(), { k: 7, l: 4 })
  await until('both to be published', () => published.length >= 2)
  assert.deepEqual(Object.fromEntries(published.map(({ key, value }) => [key, value])), { k: 7, l: 4 })
  state.replica.take([{ key: 'k', value: 8, clock: 3, author: other }])
  await state.saved()
  assert.equal(storage.states.get('room/s')?.get('k')?.value, 8)
})

test('two nodes on one storage join what they write, each by the rule of the state', async () => {
  const storage = new MemoryStorage()
  const merge = (a: string[], b: string[]): string[] => [...new Set([...a, ...b])].sort()
  const [one, two] = [open<string[]>(storage, { merge }), open<string[]>(storage, { merge })]
  await Promise.all([one.state.ready, two.state.ready])
  one.state.set('k', ['one'])
  two.state.set('k', ['two'])
  await Promise.all([one.state.saved(), two.state.saved()])
  const { state } = open<string[]>(storage, { merge })
  await state.ready
  assert.deepEqual(state.get('k'), ['one', 'two'])
})

test('damaged and hostile records are left out, and the others count', async () => {
  const good = { key: 'good', value: 1, clock: 5, author: other }
  const { state } = open(stored(
    null, 5, 'text', {}, [], good, { ...good, key: 5 }, { ...good, key: 'k'.repeat(257) }, { ...good, clock: 0 },
    { ...good, clock: CLOCK_MAX + 1 }, { ...good, clock: 1.5 }, { ...good, author: 'nobody' }, { ...good, value: 'x'.repeat(65_537) },
    { ...good, key: 'date', value: new Date(0) }, { ...good, key: '__proto__', value: 'own' }
  ))
  await state.ready
  assert.deepEqual(state.keys().sort(), ['__proto__', 'date', 'good'])
  assert.equal(state.get('date'), '1970-01-01T00:00:00.000Z')
  state.set('good', 2)
  assert.equal(state.get('good'), 2)
  assert.equal(state.get('toString'), undefined)
})

test('a stored entry that would exhaust the clock is left out, and the next write wins', async () => {
  const storage = new MemoryStorage()
  storage.states.set('room/s', new Map([['k', { key: 'k', value: 'poison', clock: CLOCK_MAX, author: other }]]))
  const { state } = open(storage)
  await state.ready
  assert.equal(state.get('k'), undefined)
  state.set('k', 'own')
  await state.saved()
  const again = open(storage).state
  await again.ready
  assert.equal(again.get('k'), 'own')
})

test('a storage that returns no list, or too many records, fails and breaks nothing', async () => {
  for (const answer of [undefined, 'text', {}, new Array(20_001).fill(null)]) {
    const storage = new MemoryStorage()
    storage.load = async () => answer as StateRecord[]
    const { state, troubles } = open(storage)
    await state.ready
    assert.equal(troubles.length, 1)
    state.set('k', 1)
    assert.equal(state.get('k'), 1)
    await assert.rejects(state.saved(), failed)
    state.close()
  }
})

test('a failure is reported once, rejects saved(), and is tried again by itself', async () => {
  const storage = new MemoryStorage()
  const { state, troubles } = open(storage)
  await state.ready
  storage.before = () => { throw new Error('the disk is full') }
  state.set('k', 1)
  await assert.rejects(state.saved(), (error) => failed(error) && /the disk is full/.test((error as Error).message))
  await assert.rejects(state.saved(), failed)
  assert.equal(troubles.length, 1)
  assert.equal(state.get('k'), 1)
  storage.before = () => {}
  await until('the next attempt', () => storage.states.get('room/s')?.get('k')?.value === 1)
  await state.saved()
  storage.before = () => { throw new Error('full again') }
  state.set('k', 2)
  await assert.rejects(state.saved(), /full again/)
  assert.equal(troubles.length, 2)
  state.close()
})

test('a load that fails at first is made up for, and writes meanwhile are not lost', async () => {
  const storage = stored({ key: 'k', value: 'old', clock: 41, author: other }, { key: 'l', value: 'kept', clock: 1, author: other })
  storage.before = () => { throw new Error('blocked') }
  const { state, published } = open(storage)
  await state.ready
  state.set('k', 'new')
  await until('the write to be published although nothing is loaded', () => published.length === 1)
  storage.before = () => {}
  await state.saved()
  assert.equal(state.get('k'), 'new')
  assert.equal(state.get('l'), 'kept')
  await until('the write to be published with a clock that wins', () => published.some(({ clock }) => clock === 42))
})

test('many writes cause few saves, and closing stores the last ones', async () => {
  const storage = new MemoryStorage()
  let saves = 0
  storage.before = (call) => { if (call === 'save') saves += 1 }
  const { state } = open(storage)
  await state.ready
  for (let at = 0; at < 1000; at += 1) state.set(`k${at % 10}`, at)
  state.close()
  await state.finished()
  assert.equal(storage.states.get('room/s')?.get('k9')?.value, 999)
  assert.ok(saves <= 2, `${saves} saves`)
})

test('saved() of a state without storage says what to do', async () => {
  await assert.rejects(open(undefined).state.saved(), /join with persist/)
})
