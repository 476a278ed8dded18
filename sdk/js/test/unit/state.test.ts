import assert from 'node:assert/strict'
import test from 'node:test'
import { Identity } from '../../src/index.js'
import { utf8 } from '../../src/bytes.js'
import { JSON_DEPTH_MAX, PUBLISH_BYTES_MAX, STATE_KEY_CHARS_MAX, STATE_VALUE_BYTES_MAX } from '../../src/limits.js'
import { CLOCK_AHEAD_MAX, CLOCK_MAX, Entries, isNewer } from '../../src/state/entries.js'
import { missing } from '../../src/state/exchange.js'
import { encodeUpdates, fitsAsValue, parseUpdate } from '../../src/state/wire.js'
import type { Json } from '../../src/bytes.js'
import type { Entry, Join } from '../../src/state/entries.js'

const [a, b, c] = await Promise.all([0, 1, 2].map(async () => (await Identity.generate()).peerId)) as [string, string, string]

function shuffled<T> (items: T[], random: () => number): T[] {
  return items.map((item) => ({ item, at: random() })).sort((x, y) => x.at - y.at).map(({ item }) => item)
}

function randomFrom (seed: number): () => number {
  let state = seed
  return () => {
    state = Math.imul(state, 48271) >>> 0
    return state / 2 ** 32
  }
}

function replica (entries: Entry[], join?: Join): Entries {
  const made = new Entries(join)
  for (const entry of entries) made.apply(entry)
  return made
}

const content = (entries: Entries): Record<string, Json | undefined> => {
  return Object.fromEntries(entries.all.map(({ key, value }) => [key, value]).sort())
}

test('replicas agree whatever the order and however often entries come', () => {
  for (let seed = 1; seed < 200; seed += 1) {
    const random = randomFrom(seed)
    const writers = [a, b, c].map((author) => ({ author, entries: new Entries() }))
    const all: Entry[] = []
    for (let step = 0; step < 30; step += 1) {
      const writer = writers[Math.floor(random() * 3)]
      if (writer === undefined) continue
      const seen = all[Math.floor(random() * all.length)]
      if (seen !== undefined) writer.entries.apply(seen)
      const value = random() < 0.2 ? undefined : step
      const entry = writer.entries.write(`key${Math.floor(random() * 4)}`, value, writer.author)
      writer.entries.apply(entry)
      all.push(entry)
    }
    const one = replica(shuffled(all, random))
    const two = replica([...shuffled(all, random), ...shuffled(all, random)])
    assert.deepEqual(content(one), content(two))
    assert.equal(one.digest, two.digest)
  }
})

test('replicas that join values agree too', () => {
  const join: Join = (x, y) => Math.max(x as number, y as number)
  for (let seed = 1; seed < 100; seed += 1) {
    const random = randomFrom(seed)
    const all = Array.from({ length: 20 }, (): Entry => ({
      key: `key${Math.floor(random() * 3)}`, value: Math.floor(random() * 100),
      clock: 1 + Math.floor(random() * 9), author: [a, b, c][Math.floor(random() * 3)] ?? a
    }))
    const [one, two] = [replica(shuffled(all, random), join), replica(shuffled(all, random), join)]
    assert.deepEqual(content(one), content(two))
    assert.equal(one.digest, two.digest)
  }
})

test('a write wins over everything its author had seen', () => {
  const entries = replica([{ key: 'k', value: 'old', clock: 41, author: c }])
  const written = entries.write('k', 'new', a)
  assert.equal(written.clock, 42)
  assert.equal(entries.apply(written), 'changed')
  assert.equal(entries.get('k')?.value, 'new')
  assert.equal(entries.apply({ key: 'k', value: 'late', clock: 41, author: c }), 'unchanged')
})

test('of two writes at one time the larger author wins, everywhere', () => {
  const [small, large] = [a, b].sort() as [string, string]
  const entry = (author: string): Entry => ({ key: 'k', value: author, clock: 3, author })
  assert.ok(isNewer(entry(large), entry(small)))
  assert.equal(replica([entry(small), entry(large)]).get('k')?.value, large)
  assert.equal(replica([entry(large), entry(small)]).get('k')?.value, large)
})

test('a deleted key stays deleted for older writes and comes back by newer ones', () => {
  const entries = replica([{ key: 'k', value: undefined, clock: 5, author: a }])
  assert.equal(entries.apply({ key: 'k', value: 1, clock: 4, author: b }), 'unchanged')
  assert.equal(entries.apply({ key: 'k', value: 1, clock: 6, author: b }), 'changed')
})

test('nobody can end the counting', () => {
  const now = 1_800_000_000_000
  const entries = new Entries(undefined, undefined, () => now)
  const put = (clock: number): string => entries.apply({ key: 'k', value: clock, clock, author: b })
  assert.deepEqual([put(CLOCK_MAX), put(now + CLOCK_AHEAD_MAX + 1)], ['unchanged', 'unchanged'])
  entries.see(CLOCK_MAX)
  assert.equal(entries.write('k', 2, a).clock, 1)
  assert.equal(put(now + CLOCK_AHEAD_MAX), 'changed')
  // The next write of this replica, or of another one that saw the same entry, still counts.
  const next = entries.write('k', 2, a)
  assert.equal(next.clock, now + CLOCK_AHEAD_MAX + 1)
  assert.equal(entries.apply(next), 'changed')
  assert.equal(put(next.clock + 2), 'unchanged')
  const message = (clock: number): Uint8Array => utf8(JSON.stringify({ v: 1, entries: [['k', clock, b, 1]] }))
  assert.equal(parseUpdate(message(CLOCK_MAX))?.length, 1)
  assert.equal(parseUpdate(message(CLOCK_MAX + 1)), undefined)
  assert.equal(parseUpdate(message(0)), undefined)
})

test('a state is bounded in keys and in bytes, at the limit and one beyond', () => {
  const entries = new Entries(undefined, { keysMax: 2, bytesMax: 20 })
  const put = (key: string, value: Json): string => entries.apply(entries.write(key, value, a))
  assert.equal(put('a', 1), 'changed')
  assert.equal(put('b', 1), 'changed')
  assert.equal(put('c', 1), 'full')
  assert.equal(put('a', '12345678901234'), 'changed')
  assert.equal(put('a', '1234567890123456'), 'full')
  assert.equal(entries.get('a')?.value, '12345678901234')
})

test('digests differ when anything differs', () => {
  const base: Entry = { key: 'k', value: 1, clock: 2, author: a }
  const digests = [base, { ...base, key: 'l' }, { ...base, value: 2 }, { ...base, clock: 3 }, { ...base, author: b },
    { ...base, value: undefined }].map((entry) => replica([entry]).digest)
  assert.equal(new Set([...digests, new Entries().digest]).size, 7)
})

test('only what the other side lacks is told', () => {
  const entry = (key: string, clock: number): Entry => ({ key, value: 1, clock, author: a })
  const own = replica([entry('same', 1), entry('newer', 2), entry('own', 1)])
  const theirs = [entry('same', 1), entry('newer', 1), entry('theirs', 1)]
  for (const one of theirs) own.apply(one)
  assert.deepEqual(missing(own.all, theirs).map(({ key }) => key).sort(), ['newer', 'own'])
})

test('entries survive the wire in as many messages as they need', () => {
  const entries = Array.from({ length: 10 }, (_, at): Entry => ({
    key: `k${at}`, value: at % 2 === 0 ? undefined : 'x'.repeat(50_000), clock: at + 1, author: a
  }))
  const messages = encodeUpdates(entries)
  assert.ok(messages.length > 1)
  assert.ok(messages.every((message) => message.byteLength <= PUBLISH_BYTES_MAX))
  assert.deepEqual(messages.flatMap((message) => parseUpdate(message, a) ?? []), entries)
  assert.deepEqual(encodeUpdates([]), [])
})

test('a value is nested to a depth, so that every peer can write it again', () => {
  const nested = (depth: number): Json => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as Json
  for (const [depth, fits] of [[JSON_DEPTH_MAX, true], [JSON_DEPTH_MAX + 1, false], [3000, false], [30_000, false]] as const) {
    const message = `{"v":1,"entries":[["k",1,"${a}",${'['.repeat(depth)}${']'.repeat(depth)}]]}`
    assert.equal(parseUpdate(utf8(message)) !== undefined, fits, `received at depth ${depth}`)
    assert.equal(fitsAsValue(nested(depth)), fits, `written at depth ${depth}`)
  }
})

test('an author speaks only for itself', () => {
  const [message] = encodeUpdates([{ key: 'k', value: 1, clock: 1, author: a }])
  assert.ok(message !== undefined)
  assert.equal(parseUpdate(message, b), undefined)
  assert.equal(parseUpdate(message)?.length, 1)
})

test('entries out of bounds are refused', () => {
  const message = (tuple: unknown): Uint8Array => utf8(JSON.stringify({ v: 1, entries: [tuple] }))
  const parses = (tuple: unknown): boolean => parseUpdate(message(tuple)) !== undefined
  assert.ok(parses(['k'.repeat(STATE_KEY_CHARS_MAX), 1, a, null]))
  for (const wrong of [['k'.repeat(STATE_KEY_CHARS_MAX + 1), 1, a, 1], ['k', 1.5, a, 1], ['k', '1', a, 1],
    ['k', 1, 'nobody', 1], [1, 1, a, 1], ['k', 1], ['k', 1, a, 1, 1], 'k', null]) {
    assert.ok(!parses(wrong), JSON.stringify(wrong).slice(0, 60))
  }
  assert.ok(fitsAsValue('x'.repeat(STATE_VALUE_BYTES_MAX - 2)))
  assert.ok(!fitsAsValue('x'.repeat(STATE_VALUE_BYTES_MAX - 1)))
  assert.ok(!fitsAsValue(undefined))
  for (const bytes of [utf8('nonsense'), utf8('{"v":2,"entries":[]}'), utf8('[]'), Uint8Array.of(0xff)]) {
    assert.equal(parseUpdate(bytes), undefined)
  }
})
