import assert from 'node:assert/strict'
import test from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { utf8 } from '../../src/bytes.js'
import {
  ADDRESS_CHARS_MAX, JSON_DEPTH_MAX, PEER_NAME_CHARS_MAX, PEER_STATE_BYTES_MAX, PRESENCE_ADDRESSES_MAX, PRESENCE_BYTES_MAX
} from '../../src/limits.js'
import { namesOf } from '../../src/room/names.js'
import { decodePayload, encodePayload } from '../../src/room/payload.js'
import { encodePresence, parsePresence } from '../../src/room/presence-message.js'
import { CLOSED_EXPIRY_MS, CONNECTED_EXPIRY_MS, EXPIRY_MS, Roster } from '../../src/room/roster.js'
import type { Json } from '../../src/index.js'
import type { Here } from '../../src/room/presence-message.js'

const here: Here = { kind: 'here', sequence: 1, name: 'Ada', state: null, addresses: [], workers: 0, ask: false }
const parses = (change: object): boolean => parsePresence(utf8(JSON.stringify({ v: 1, ...here, ...change }))) !== undefined

test('a presence message arrives as it was sent, without unknown fields', () => {
  const sent: Here = { ...here, state: { mood: [1, 'good'] }, addresses: ['/ip4/1.2.3.4/tcp/5'], workers: 3, ask: true }
  assert.deepEqual(parsePresence(encodePresence(sent)), sent)
  assert.deepEqual(parsePresence(utf8(JSON.stringify({ v: 1, ...sent, more: 1 }))), sent)
  assert.deepEqual(parsePresence(encodePresence({ kind: 'bye', sequence: 9 })), { kind: 'bye', sequence: 9 })
})

test('every bound of a presence message holds at the limit and not beyond', () => {
  assert.ok(parses({ name: 'n'.repeat(PEER_NAME_CHARS_MAX) }))
  assert.ok(!parses({ name: 'n'.repeat(PEER_NAME_CHARS_MAX + 1) }))
  assert.ok(parses({ state: 's'.repeat(PEER_STATE_BYTES_MAX - 2) }))
  assert.ok(!parses({ state: 's'.repeat(PEER_STATE_BYTES_MAX - 1) }))
  assert.ok(parses({ addresses: new Array(PRESENCE_ADDRESSES_MAX).fill('/ip4/1.2.3.4/tcp/5') }))
  assert.ok(!parses({ addresses: new Array(PRESENCE_ADDRESSES_MAX + 1).fill('/ip4/1.2.3.4/tcp/5') }))
  assert.ok(parses({ addresses: ['x'.repeat(ADDRESS_CHARS_MAX)] }))
  assert.ok(!parses({ addresses: ['x'.repeat(ADDRESS_CHARS_MAX + 1)] }))
  assert.ok(!parses({ padding: 'x'.repeat(PRESENCE_BYTES_MAX) }))
})

test('bytes that are no presence message are dropped', () => {
  for (const wrong of [{ kind: 'there' }, { sequence: -1 }, { sequence: 1.5 }, { sequence: '1' }, { name: 1 }, { addresses: 'x' },
    { addresses: [1] }, { workers: -1 }, { workers: 1e9 }, { ask: 1 }, { v: 2 }, { state: undefined }]) {
    assert.ok(!parses(wrong), JSON.stringify(wrong))
  }
  for (const bytes of [utf8('null'), utf8('[]'), utf8('{'), Uint8Array.of(0xff, 0xfe), new Uint8Array(0)]) {
    assert.equal(parsePresence(bytes), undefined)
  }
})

test('a peer joins, changes, and leaves', () => {
  const roster = new Roster()
  assert.equal(roster.apply('a', here, 0), 'join')
  assert.equal(roster.apply('a', { ...here, sequence: 2 }, 1), 'none')
  assert.equal(roster.apply('a', { ...here, sequence: 3, name: 'Grace' }, 2), 'update')
  assert.equal(roster.apply('a', { kind: 'bye', sequence: 4 }, 3), 'leave')
  assert.equal(roster.apply('b', { kind: 'bye', sequence: 4 }, 3), 'none')
  assert.deepEqual(roster.members, [])
})

test('old messages that are sent again change nothing', () => {
  const roster = new Roster()
  roster.apply('a', { ...here, sequence: 5 }, 0)
  assert.equal(roster.apply('a', { ...here, sequence: 5, name: 'replayed' }, 1), 'none')
  assert.equal(roster.apply('a', { kind: 'bye', sequence: 4 }, 1), 'none')
  assert.equal(roster.get('a')?.here.name, 'Ada')
  assert.equal(roster.get('a')?.lastSeen, 0)
})

test('a peer that was started again with a clock that is behind counts after a short silence', () => {
  const silence = 2 * new Roster().intervalMs
  const roster = new Roster()
  roster.apply('a', { ...here, sequence: 1000 }, 0)
  assert.equal(roster.apply('a', { ...here, sequence: 5, name: 'again' }, silence), 'none')
  assert.equal(roster.apply('a', { ...here, sequence: 1000, name: 'again' }, silence + 1), 'none')
  assert.equal(roster.apply('a', { ...here, sequence: 6, name: 'again' }, silence + 1), 'update')
  assert.equal(roster.apply('a', { ...here, sequence: 7 }, silence + 2), 'update')
  assert.equal(roster.apply('a', { kind: 'bye', sequence: 8 }, silence + 3), 'leave')
})

test('silence ends a presence, later for who is connected and sooner for who was', () => {
  const join = (): Roster => {
    const roster = new Roster()
    roster.apply('a', here, 0)
    return roster
  }
  const gone = (roster: Roster, now: number, connected: boolean): number => roster.expire(now, () => connected).length
  assert.equal(gone(join(), EXPIRY_MS, false), 0)
  assert.equal(gone(join(), EXPIRY_MS + 1, false), 1)
  assert.equal(gone(join(), CONNECTED_EXPIRY_MS, true), 0)
  assert.equal(gone(join(), CONNECTED_EXPIRY_MS + 1, true), 1)
  const closed = join()
  closed.closed('a', 0)
  assert.equal(gone(closed, CLOSED_EXPIRY_MS, false), 0)
  assert.equal(gone(closed, CLOSED_EXPIRY_MS + 1, true), 0)
  assert.equal(gone(closed, CLOSED_EXPIRY_MS + 1, false), 1)
  const back = join()
  back.closed('a', 0)
  back.apply('a', { ...here, sequence: 2 }, CLOSED_EXPIRY_MS)
  assert.equal(gone(back, CLOSED_EXPIRY_MS + 1, false), 0)
})

test('a roster is bounded', () => {
  const roster = new Roster(2)
  assert.equal(roster.apply('a', here, 0), 'join')
  assert.equal(roster.apply('b', here, 0), 'join')
  assert.equal(roster.apply('c', here, 0), 'none')
  roster.apply('a', { kind: 'bye', sequence: 2 }, 1)
  assert.equal(roster.apply('c', here, 2), 'join')
})

test('no name reaches into another room or another part', () => {
  const names = [namesOf('a').topic('b'), namesOf('a/topic').topic('b'), namesOf('a').stateTopic('b'),
    namesOf('a').presenceTopic, namesOf('a/presence').presenceTopic, namesOf('a').topic('presence')]
  assert.equal(new Set(names).size, names.length)
  assert.equal(namesOf('a b/c').topic('ü'), 'peerwork/room/a%20b%2Fc/topic/%C3%BC')
  assert.ok(namesOf('r'.repeat(96)).stateTopic('s'.repeat(96)).length <= 256)
  for (const wrong of ['', 'r'.repeat(97), 'ü'.repeat(17), '\ud800']) {
    assert.throws(() => namesOf(wrong), (error) => error instanceof PeerworkError && error.code === 'invalid-argument')
  }
})

test('data and states are nested to a depth, and not beyond', () => {
  const nested = (depth: number, pair = '[]'): Json => JSON.parse(pair[0]?.repeat(depth) + (pair[1] ?? '').repeat(depth)) as Json
  assert.deepEqual(decodePayload(encodePayload(nested(JSON_DEPTH_MAX), 1e6)), { data: nested(JSON_DEPTH_MAX) })
  const tooDeep = (error: unknown): boolean => error instanceof PeerworkError && error.code === 'invalid-argument'
  assert.throws(() => encodePayload(nested(JSON_DEPTH_MAX + 1), 1e6), tooDeep)
  assert.ok(parses({ state: nested(JSON_DEPTH_MAX) }))
  assert.ok(!parses({ state: nested(JSON_DEPTH_MAX + 1) }))
  assert.equal(decodePayload(utf8(`\u0002${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`)), undefined)
  assert.deepEqual(decodePayload(utf8(`\u0002["\\\\","${'['.repeat(1000)}\\"${'{'.repeat(1000)}"]`)), { data: ['\\', `${'['.repeat(1000)}"${'{'.repeat(1000)}`] })
})

test('data arrives as the kind that was sent', () => {
  for (const data of ['text', '', '{"a":1}', null, 0, false, [1, [2]], { a: { b: 'ü' } }, Uint8Array.of(0, 255), new Uint8Array(0)]) {
    assert.deepEqual(decodePayload(encodePayload(data, 100)), { data })
  }
  assert.equal(encodePayload('x'.repeat(100), 100).byteLength, 101)
  assert.throws(() => encodePayload('x'.repeat(101), 100), (error) => (error as PeerworkError).code === 'too-large')
  const cycle: unknown[] = []
  cycle.push(cycle)
  for (const wrong of [cycle, undefined, () => 1]) {
    assert.throws(() => encodePayload(wrong as never, 100), (error) => (error as PeerworkError).code === 'invalid-argument')
  }
  for (const bytes of [new Uint8Array(0), Uint8Array.of(9, 1), Uint8Array.of(1, 0xff), Uint8Array.of(2, 0x7b)]) {
    assert.equal(decodePayload(bytes), undefined)
  }
})
