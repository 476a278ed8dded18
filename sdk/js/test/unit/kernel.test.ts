/** Tests the parts of `peerwork/peercompute` that need no network. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { concat } from '../../src/bytes.js'
import { bytesField } from '../../src/fetch/protobuf.js'
import { PeerworkError } from '../../src/index.js'
import {
  DISCOVERY_BYTES_MAX, EVENTS_QUEUED_MAX, EVENTS_SEEN_MAX, EVENT_BYTES_MAX, PRESENCE_ADDRESSES_MAX, PROVIDERS_MAX,
  ROOM_CHARS_MAX, SCHEDULED_ENTRIES_MAX
} from '../../src/limits.js'
import { Rates } from '../../src/rates.js'
import { namesOf } from '../../src/room/names.js'
import { ComputeManager, NodeKernel } from '../../src/peercompute/index.js'
import { encodeAnnouncement, parseAnnouncement } from '../../src/peercompute/announcement.js'
import { Discovery } from '../../src/peercompute/discovery.js'
import { parseMessage } from '../../src/peercompute/messages.js'
import { checkClock } from '../../src/peercompute/options.js'
import { checkProfile } from '../../src/peercompute/profile.js'
import { roomName } from '../../src/peercompute/room-name.js'
import { fullKey, parseKey } from '../../src/peercompute/state-keys.js'
import { Scheduler } from '../../src/peercompute/scheduler.js'
import type { Message } from '@libp2p/gossipsub'
import type { EventMessage, ScheduledMessage } from '../../src/peercompute/messages.js'
import type { SchedulerProfile } from '../../src/peercompute/profile.js'

const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted
const [A, B] = ['12D3KooWMTocLVb243eanESWBN3thdYVTJHGCJjo7jUbdoaxa8fC', '12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA'] as [string, string]

/** A scheduler at a network that only records what is sent; `null` stands for all peers. */
function scheduler (profile: Partial<SchedulerProfile> = {}, peers: string[] = []) {
  const sent: Array<{ to: string | null, message: ScheduledMessage }> = []
  const made = new Scheduler({
    gameId: 'g',
    roomId: 'r',
    peerId: () => 'self',
    peers: () => peers,
    publish: async (message) => { sent.push({ to: null, message }) },
    send: async (to, message) => { sent.push({ to, message }) }
  }, profile)
  const events = (): string[][] => sent.flatMap(({ message }) => message.type === 'pc-event' ? [message.payload.map(({ id }) => id)] : [])
  return { made, sent, events, peers }
}

/** Waits until the messages that a scheduler gave to its network are sent. */
const turn = async (): Promise<void> => { await new Promise((resolve) => { setImmediate(resolve) }) }

const eventFrom = (...entries: Array<{ id: string, reliable: boolean }>): EventMessage => ({
  type: 'pc-event',
  header: { type: 'event', seq: 0, ts: 0, peerId: A, authorityId: null },
  gameId: 'g',
  roomId: 'r',
  payload: entries.map((entry) => ({ ...entry, payload: entry.id, ts: 0 }))
})

test('different pairs of game and room have different names, within the bound of rooms', () => {
  const pairs: Array<[string, string]> = [['a', 'b!c'], ['a!b', 'c'], ['a~21b', 'c'], ['a', 'b%21c'], ['A', 'b'], ['a', 'b'], ['ä', 'b'], ['a b', 'c'], ['a', '__rooms__']]
  const names = pairs.map(([game, room]) => roomName(game, room))
  assert.equal(new Set(names).size, pairs.length)
  assert.equal(roomName('cubechat', '__rooms__'), 'pc!cubechat!__rooms__')
  for (const name of names) assert.equal(encodeURIComponent(name), name)
  const longest = roomName('g'.repeat(46), 'r'.repeat(ROOM_CHARS_MAX - 4 - 46))
  assert.equal(longest.length, ROOM_CHARS_MAX)
  assert.ok(namesOf(longest))
  assert.throws(() => roomName('g'.repeat(46), 'r'.repeat(ROOM_CHARS_MAX - 3 - 46)), code('invalid-argument'))
  for (const bad of ['', '\ud800', 7 as never]) assert.throws(() => roomName('g', bad), code('invalid-argument'))
})

test('keys of the state are unambiguous, within the bound of keys', () => {
  const keys = [{ namespace: '', key: 'a/b' }, { namespace: 'a', key: 'b' }, { namespace: 'a/b', key: '' }, { namespace: 'ä', key: 'ö' }]
  assert.equal(new Set(keys.map(fullKey)).size, keys.length)
  for (const key of keys) assert.deepEqual(parseKey(fullKey(key)), key)
  assert.equal(fullKey({ namespace: 'n', key: 'k'.repeat(254) }).length, 256)
  assert.throws(() => fullKey({ namespace: 'n', key: 'k'.repeat(255) }), code('invalid-argument'))
  assert.deepEqual([parseKey('no separator'), parseKey('%/x')], [undefined, undefined])
})

test('a peer that sends too much is bounded, and is heard again later', () => {
  const rates = new Rates({ burst: 3, perSecond: 2 })
  const taken = (now: number): boolean[] => Array.from({ length: 4 }, () => rates.take(A, now))
  assert.deepEqual(taken(0), [true, true, true, false])
  assert.equal(rates.take(B, 0), true)
  assert.deepEqual(taken(1000), [true, true, false, false])
  assert.equal(rates.dropped, 3)
  // The machine's clock was set back: nothing is won, and no time is lost.
  assert.deepEqual(taken(-3_600_000), [false, false, false, false])
  assert.equal(rates.take(A, -3_599_000), true)
})

test('a clock policy and a profile are brought within their bounds', () => {
  assert.deepEqual(checkClock({}), { mode: 'independent', tickHz: 30, networkProfile: null })
  assert.deepEqual(checkClock({ mode: 'kernel', tickHz: 1e9 }), { mode: 'kernel', tickHz: 100, networkProfile: null })
  assert.equal(checkClock({ tickHz: 0 }, checkClock({ tickHz: 12 })).tickHz, 12)
  // Timers with a longer pause than 2 ** 31 ms fire at once.
  assert.equal(checkClock({ tickHz: 1e-9 }).tickHz, 0.01)
  assert.equal(checkClock({ mode: 'other' as never }).mode, 'independent')
  const { snapshotHz, commandHz, eventRetryMax, maxEventsPerTick, snapshotTopic, reliableEventTypes } = checkProfile(
    { snapshotHz: 61, commandHz: Number.NaN, eventRetryMax: 21, maxEventsPerTick: 0, snapshotTopic: '', reliableEventTypes: 'x' as never })
  assert.deepEqual({ snapshotHz, commandHz, eventRetryMax, maxEventsPerTick, snapshotTopic, reliableEventTypes },
    { snapshotHz: 60, commandHz: 30, eventRetryMax: 20, maxEventsPerTick: 1, snapshotTopic: null, reliableEventTypes: [] })
})

test('the kernel\'s clock policy sets the scheduler\'s clock and profile', () => {
  const kernel = new NodeKernel()
  assert.deepEqual(kernel.config.clockPolicy, { mode: 'independent', tickHz: 30, networkProfile: null })
  kernel.setClockPolicy({ mode: 'kernel', tickHz: 20, networkProfile: { snapshotHz: 12 } })
  assert.deepEqual(kernel.getStatus().clock, { mode: 'kernel', tickHz: 20, schedulerClock: 'external' })
  assert.equal(kernel.getNetworkManager().getSchedulerProfile().snapshotHz, 12)
  kernel.setClockPolicy({ mode: 'independent' })
  assert.deepEqual(kernel.getStatus().clock, { mode: 'independent', tickHz: 20, schedulerClock: 'internal' })
})

test('received messages have the proved sender, and others than well-formed ones are refused', () => {
  const scope = { from: A, gameId: 'g', roomId: 'r' }
  const header = { type: 'event', seq: 1, ts: 2, peerId: 'forged', authorityId: null }
  const event = { id: 'e', payload: 1, reliable: true, ts: 0 }
  const good = parseMessage({ type: 'pc-event', header, payload: [event], gameId: 'forged' }, scope)
  assert.deepEqual(good, { type: 'pc-event', header: { ...header, peerId: A }, gameId: 'g', roomId: 'r', payload: [event] })
  const full = (count: number): unknown => parseMessage({ type: 'pc-event', header, payload: Array.from({ length: count }, () => event) }, scope)
  assert.ok(full(SCHEDULED_ENTRIES_MAX))
  assert.equal(full(SCHEDULED_ENTRIES_MAX + 1), undefined)
  const longId = (length: number): unknown => parseMessage({ type: 'pc-ack', header, payload: { eventIds: ['i'.repeat(length)] } }, scope)
  assert.ok(longId(128))
  assert.equal(longId(129), undefined)
  for (const bad of [null, 1, [], {}, { type: 'pc-event' }, { type: 'pc-event', header: { ...header, seq: -1 }, payload: [] },
    { type: 'pc-event', header, payload: [{ ...event, id: 1 }] }, { type: 'pc-event', header, payload: [{ ...event, reliable: 1 }] },
    { type: 'pc-snapshot', header, payload: [{ id: 'x' }] }, { type: 'pc-ack', header, payload: [] }, { type: 'pc-other', header, payload: [] },
    { type: 'peercompute-message' }]) {
    assert.equal(parseMessage(bad, scope), undefined, JSON.stringify(bad))
  }
})

test('snapshots are sent when the state changed, and now and then without news', () => {
  const { made, sent } = scheduler({ snapshotHz: 10, keepaliveMs: 1000 })
  let value: number | null = 1
  made.addStateProvider(() => value, 'player')
  made.addStateProvider(() => { throw new Error('on purpose') }, 'broken')
  const tick = (now: number): unknown => {
    const before = sent.length
    made.tick(now)
    return sent.slice(before).map(({ message }) => message.type === 'pc-snapshot' ? [message.payload, message.keepalive] : message)
  }
  assert.deepEqual(tick(0), [[[{ id: 'player', data: 1 }], true]])
  assert.deepEqual(tick(500), [])
  made.markDirty()
  assert.deepEqual(tick(550), [[[{ id: 'player', data: 1 }], false]])
  made.markDirty()
  assert.deepEqual(tick(649), [])
  assert.deepEqual(tick(650), [[[{ id: 'player', data: 1 }], false]])
  value = null
  assert.deepEqual(tick(1649), [])
  assert.deepEqual(tick(1650), [[[], true]])
  made.removeProvider('player')
  made.removeProvider('broken')
  assert.deepEqual(tick(9999), [])
  const last = sent.at(-1)?.message
  assert.deepEqual(last?.header, { type: 'snapshot', seq: 3, ts: 1650, peerId: 'self', authorityId: null })
  assert.deepEqual([last?.gameId, last?.roomId], ['g', 'r'])
})

test('commands go to the authority alone, and only the authority sends snapshots where that is wanted', () => {
  const { made, sent } = scheduler({ commandHz: 10, snapshotsRequireAuthority: true })
  made.addCommandProvider(() => ['left', 'jump'], 'keys')
  made.addStateProvider(() => 1, 'player')
  made.authorityId = A
  made.tick(0)
  assert.deepEqual(sent.map(({ to, message }) => [to, message.type, message.payload]),
    [[A, 'pc-command', [{ id: 'keys', data: 'left' }, { id: 'keys', data: 'jump' }]]])
  const heard: string[] = []
  made.onSnapshot((peer) => { heard.push(peer) })
  const snapshot: ScheduledMessage = { ...eventFrom(), type: 'pc-snapshot', payload: [], keepalive: false }
  made.receive(B, snapshot)
  made.receive(A, snapshot)
  assert.deepEqual(heard, [A])
  made.authorityId = 'self'
  made.tick(1000)
  assert.deepEqual(sent.slice(1).map(({ to, message }) => [to, message.type]), [[null, 'pc-command'], [null, 'pc-snapshot']])
})

test('events go out in ticks, those with a target to the target alone', () => {
  const { made, sent, events } = scheduler({ maxEventsPerTick: 2 }, [A, B])
  for (const id of ['1', '2', '3']) made.queueEvent({ type: 'x' }, { id })
  made.tick(0)
  assert.deepEqual(events(), [['1', '2']])
  made.tick(1)
  made.queueEvent({ type: 'offer', target: B }, { id: 'b' })
  made.queueEvent({ type: 'attack', target: 'a tree' }, { id: 'all' })
  made.tick(2)
  assert.deepEqual(events(), [['1', '2'], ['3'], ['b'], ['all']])
  assert.deepEqual(sent.map(({ to }) => to), [null, null, B, null])
})

test('a reliable event is repeated to those that have not acknowledged it', async () => {
  const { made, sent, peers } = scheduler({ eventRetryMs: 500, eventRetryMax: 3, reliableEventTypes: ['spawn'] }, [A, B])
  const id = made.queueEvent({ type: 'spawn' })
  const ack = (peer: string): void => {
    made.receive(peer, { ...eventFrom(), type: 'pc-ack', payload: { eventIds: [id] } })
  }
  ack(A)
  made.tick(0)
  ack(A)
  made.tick(499)
  assert.deepEqual(sent.map(({ to }) => to), [null])
  made.tick(500)
  assert.deepEqual(sent.map(({ to }) => to), [null, B])
  await turn()
  made.tick(1499)
  made.tick(1500)
  assert.deepEqual(sent.map(({ to }) => to), [null, B, B])
  assert.deepEqual(made.reliability, { sent: 3, acked: 0, dropped: 0, pending: 1, retryMs: 500, retryMax: 3 })
  made.tick(3500)
  assert.deepEqual([sent.length, made.reliability.dropped, made.reliability.pending], [3, 1, 0])

  made.queueEvent({ type: 'other' }, { critical: true, id: 'c' })
  made.tick(4000)
  made.receive(A, { ...eventFrom(), type: 'pc-ack', payload: { eventIds: ['c'] } })
  peers.pop()
  made.tick(4001)
  assert.deepEqual([made.reliability.acked, made.reliability.pending], [1, 0])
})

test('a reliable event is acknowledged each time, and delivered once', () => {
  const { made, sent } = scheduler()
  const heard: string[] = []
  made.onEvent(() => { throw new Error('on purpose') })
  made.onEvent((_peer, { payload }) => { heard.push(...payload.map(({ id }) => id)) })
  made.receive(A, eventFrom({ id: '1', reliable: true }, { id: '2', reliable: false }))
  made.receive(A, eventFrom({ id: '1', reliable: true }, { id: '2', reliable: false }))
  made.receive(B, eventFrom({ id: '1', reliable: true }))
  assert.deepEqual(heard, ['1', '2', '2', '1'])
  assert.deepEqual(sent.map(({ to, message }) => [to, message.payload]),
    [[A, { eventIds: ['1'] }], [A, { eventIds: ['1'] }], [B, { eventIds: ['1'] }]])
})

test('a scheduler remembers a limited number of events', async () => {
  const { made } = scheduler()
  let heard = 0
  made.onEvent(() => { heard += 1 })
  const receive = (id: number): void => { made.receive(A, eventFrom({ id: String(id), reliable: true })) }
  for (let id = 0; id < EVENTS_SEEN_MAX; id += 1) receive(id)
  receive(0)
  assert.equal(heard, EVENTS_SEEN_MAX)
  receive(EVENTS_SEEN_MAX)
  receive(0)
  assert.equal(heard, EVENTS_SEEN_MAX + 2)
})

test('a peer that sends many events makes a scheduler forget none of another peer', () => {
  const { made } = scheduler()
  const heard: string[] = []
  made.onEvent((peer) => { heard.push(peer) })
  made.receive(B, eventFrom({ id: 'once', reliable: true }))
  for (let id = 0; id < 2 * EVENTS_SEEN_MAX; id += 1) made.receive(A, eventFrom({ id: String(id), reliable: true }))
  made.receive(B, eventFrom({ id: 'once', reliable: true }))
  assert.equal(heard.filter((peer) => peer === B).length, 1)
})

test('a retry time that is no time is that of the profile', () => {
  for (const retryMs of [Number.NaN, Infinity, -1, '1' as never]) {
    const { made } = scheduler({ eventRetryMs: 500, eventRetryMax: 1 }, [A])
    made.queueEvent('x', { reliable: true, retryMs })
    made.tick(0)
    made.tick(501)
    assert.deepEqual([made.reliability.pending, made.reliability.dropped], [0, 1], String(retryMs))
  }
})

test('events and providers have bounds', () => {
  const { made, events } = scheduler({ maxEventsPerTick: 1 })
  const text = 'x'.repeat(EVENT_BYTES_MAX - 2)
  made.queueEvent(text)
  assert.throws(() => made.queueEvent(`${text}x`), code('too-large'))
  assert.throws(() => made.queueEvent(undefined), code('invalid-argument'))
  assert.throws(() => made.queueEvent(1, { id: 'i'.repeat(129) }), code('invalid-argument'))
  for (let at = 0; at < EVENTS_QUEUED_MAX; at += 1) made.queueEvent(at, { id: String(at) })
  made.tick(0)
  assert.deepEqual(events(), [['0']])
  for (let at = 0; at <= EVENTS_QUEUED_MAX; at += 1) made.queueEvent(at, { id: `r${at}`, reliable: true })
  assert.deepEqual([made.reliability.pending, made.reliability.dropped], [EVENTS_QUEUED_MAX, 1])
  for (let at = 0; at < PROVIDERS_MAX; at += 1) made.addStateProvider(() => at, `p${at}`)
  made.addStateProvider(() => 1, 'p0')
  assert.throws(() => made.addStateProvider(() => 1, 'one more'), code('invalid-argument'))
})

test('large events go out in several messages', () => {
  const { made, sent } = scheduler()
  for (let at = 0; at < 3; at += 1) made.queueEvent('x'.repeat(60_000))
  made.tick(0)
  assert.deepEqual(sent.map(({ message }) => (message as EventMessage).payload.length), [1, 1, 1])
})

test('an announcement counts for its author alone, and has bounds', () => {
  const address = '/ip4/127.0.0.1/tcp/1'
  const signed = (data: Uint8Array | undefined, from = A): Message => {
    return { type: 'signed', from: peerIdFromString(from), topic: 't', data: data ?? new Uint8Array(0) } as Message
  }
  const encoded = (addresses: number): Uint8Array => {
    const bytes = encodeAnnouncement(peerIdFromString(A), Array.from({ length: addresses }, () => multiaddr(address)))
    assert.ok(bytes)
    return bytes
  }
  assert.deepEqual(parseAnnouncement(signed(encoded(1))), { peerId: A, multiaddrs: [address] })
  assert.equal(parseAnnouncement(signed(encoded(1), B)), undefined)
  assert.equal(parseAnnouncement({ type: 'unsigned', topic: 't', data: encoded(1) } as Message), undefined)
  assert.equal(parseAnnouncement(signed(new Uint8Array([255]))), undefined)
  assert.equal(parseAnnouncement(signed(new Uint8Array(0))), undefined)
  assert.deepEqual(parseAnnouncement(signed(concat([encoded(1), bytesField(2, new Uint8Array([255, 255]))])))?.multiaddrs, [address])
  const more = bytesField(2, multiaddr(address).bytes)
  for (const count of [PRESENCE_ADDRESSES_MAX, PRESENCE_ADDRESSES_MAX + 1]) {
    const data = concat([encoded(0), ...Array.from({ length: count }, () => more)])
    assert.equal(parseAnnouncement(signed(data))?.multiaddrs.length, PRESENCE_ADDRESSES_MAX)
  }
  const padded = (bytes: number): Uint8Array => {
    const own = encoded(0)
    return concat([own, bytesField(9, new Uint8Array(bytes - own.byteLength - 3))])
  }
  assert.equal(padded(DISCOVERY_BYTES_MAX).byteLength, DISCOVERY_BYTES_MAX)
  assert.ok(parseAnnouncement(signed(padded(DISCOVERY_BYTES_MAX))))
  assert.equal(parseAnnouncement(signed(padded(DISCOVERY_BYTES_MAX + 1))), undefined)
})

test('an event that is still on its way to a peer is not repeated', async () => {
  let arrived: () => void = () => {}
  let sendings = 0
  const made = new Scheduler({
    gameId: 'g',
    roomId: 'r',
    peerId: () => 'self',
    peers: () => [A],
    publish: async () => {},
    send: async () => {
      sendings += 1
      await new Promise<void>((resolve) => { arrived = resolve })
    }
  }, { eventRetryMs: 100 })
  made.queueEvent({ target: A }, { reliable: true })
  made.tick(0)
  made.tick(1000)
  assert.equal(sendings, 1)
  arrived()
  await turn()
  made.tick(1001)
  assert.equal(sendings, 2)
  arrived()
})

test('discovery topics have bounds', () => {
  assert.deepEqual(new Discovery(Array.from({ length: 8 }, (_, at) => `t${at}`)).peers, [])
  for (const bad of [Array.from({ length: 9 }, (_, at) => `t${at}`), [''], ['t'.repeat(257)], 'text' as never]) {
    assert.throws(() => new Discovery(bad), code('invalid-argument'))
  }
})

test('a compute manager runs functions and modules in threads of this program', async () => {
  const compute = new ComputeManager({ maxWorkers: 2 })
  await compute.initialize()
  assert.equal(await compute.submitTask({ data: { n: 4 }, fn: ({ n }: { n: number }) => n * 2 }), 8)
  assert.deepEqual(await compute.submitTask({ data: new Uint8Array([1, 2]), compute: '(bytes) => bytes.map((byte) => byte + 1)' }), new Uint8Array([2, 3]))
  const module = `data:text/javascript,${encodeURIComponent('export const add = ({ a, b }) => a + b')}`
  assert.equal(await compute.submitTask({ module, exportName: 'add', data: { a: 1, b: 2 } }), 3)
  await assert.rejects(compute.submitTask({ fn: () => { throw new Error('on purpose') } }), code('task-failed'))
  await assert.rejects(compute.submitTask({ fn: () => () => 1 }), code('task-failed'))
  await assert.rejects(compute.submitTask({ type: 'webgpu', shader: 'x' }), code('not-supported'))
  await assert.rejects(compute.submitTask({}), code('invalid-argument'))
  await assert.rejects(compute.submitTask({ fn: () => 1, redundancy: 1 }), code('left'))
  const { totalTasksCompleted, totalTasksFailed } = compute.getStats()
  assert.deepEqual([totalTasksCompleted, totalTasksFailed], [3, 3])
  await compute.destroy()
})

test('a task is cancelled while it runs and while it waits, and threads are limited', async () => {
  const compute = new ComputeManager({ maxWorkers: 1 })
  const endless = compute.submitTask({ id: 'endless', fn: () => { for (;;); } })
  const waiting = compute.submitTask({ id: 'waiting', fn: () => 1 })
  const next = compute.submitTask({ fn: () => 2 })
  const { workers, activeTaskCount, queuedTaskCount } = compute.getCapabilities()
  assert.deepEqual([workers, activeTaskCount, queuedTaskCount], [1, 1, 2])
  const rejected = [endless, waiting].map(async (task) => { await assert.rejects(task, { name: 'AbortError' }) })
  assert.equal(await compute.cancelTask('waiting'), true)
  assert.equal(await compute.cancelTask('endless'), true)
  await Promise.all(rejected)
  assert.equal(await next, 2)
  assert.equal(await compute.cancelTask('endless'), false)
  const stopped = assert.rejects(compute.submitTask({ fn: () => { for (;;); } }), { name: 'AbortError' })
  await compute.destroy()
  await stopped
  assert.equal(compute.getCapabilities().workers, 0)
})

test('the result of a task can hold a delta for the state', async () => {
  const kernel = new NodeKernel()
  const result = await kernel.submitTask({ fn: () => ({ commitDelta: { taskId: 'physics', version: 3, payload: [1] }, value: 'done' }) })
  assert.equal(result, 'done')
  const { physics } = kernel.getStateManager().getWarmDeltas() as { physics: { version: number, payload: unknown } }
  assert.deepEqual([physics.version, physics.payload], [3, [1]])
  await kernel.stop()
})

test('without threads a task runs in the program itself', async () => {
  const compute = new ComputeManager({ enableWorkers: false })
  let called = 0
  assert.equal(await compute.submitTask({ data: 1, fn: (n: number) => { called += 1; return n + 1 } }), 2)
  assert.equal(called, 1)
  await assert.rejects(compute.submitTask({ fn: '() => 1' }), code('invalid-argument'))
  const cancelled = compute.submitTask({ id: 'endless', fn: async () => await new Promise(() => {}) })
  assert.equal(await compute.cancelTask('endless'), true)
  await assert.rejects(cancelled, { name: 'AbortError' })
  assert.equal(compute.getCapabilities().activeTaskCount, 0)
})

test('a start that fails after the join leaves no node behind', async () => {
  for (const options of [{ stateTopic: 't'.repeat(1000) }, { offerCompute: { workers: -1 } }]) {
    const kernel = new NodeKernel({ ...options, bootstrapPeers: [`/ip4/127.0.0.1/tcp/1/p2p/${A}`], timeoutMs: 0, listen: [] })
    await assert.rejects(kernel.start(), code('invalid-argument'))
    assert.deepEqual([kernel.isStarted, kernel.node, kernel.getNetworkManager().peerId], [false, undefined, null])
    await assert.rejects(kernel.start(), code('invalid-argument'))
  }
})

test('a kernel without a storage says so', async () => {
  const kernel = new NodeKernel({ persist: undefined as never, bootstrapPeers: [`/ip4/127.0.0.1/tcp/1/p2p/${A}`], timeoutMs: 0, listen: [] })
  await kernel.start()
  assert.equal(kernel.getStatus().state.hasPersistence, false)
  await kernel.stop()
})

test('a state works without a room: values, namespaces, listeners and snapshots', () => {
  const state = new NodeKernel().getStateManager()
  const heard: unknown[] = []
  const off = state.subscribe('*', (value, key) => { heard.push([key, value]) })
  state.subscribe('a', () => { throw new Error('on purpose') })
  const offOwn = state.subscribe('a', (value) => { heard.push(value) })
  const offSpace = state.observeNamespace('n', (value, key) => { heard.push(`n ${key} ${value}`) })
  state.write('a', { list: [1] })
  state.write('b', null)
  state.writeScoped('n', 'a', 2)
  assert.deepEqual(heard.splice(0), [{ list: [1] }, ['a', { list: [1] }], ['b', null], 'n a 2'])
  assert.deepEqual([state.read('b'), state.has('b'), state.readScoped('n', 'a'), state.keys(), state.listNamespaceKeys('n')], [null, true, 2, ['a', 'b'], ['a']])
  assert.deepEqual(state.snapshot().data, { a: { list: [1] }, b: null })
  assert.deepEqual(state.entries(), [['a', { list: [1] }], ['b', null]])
  state.delete('a')
  state.write('b', undefined)
  state.clearNamespace('n')
  assert.deepEqual([state.keys(), state.has('a'), state.hasScoped('n', 'a'), heard.length], [[], false, false, 4])
  for (const stop of [off, offOwn, offSpace]) stop()
  state.batchWrite({ c: 1, d: 2 })
  state.clear()
  assert.deepEqual([heard.length, state.values()], [4, []])
  assert.throws(() => { state.write('x', 'x'.repeat(65_535)) }, code('too-large'))
  assert.throws(() => { state.write('x', (() => 1) as never) }, code('too-large'))
  assert.throws(() => { state.writeScoped('', 'x', 1) }, code('invalid-argument'))
  assert.throws(() => { state.commitDelta({}) }, code('invalid-argument'))
  assert.deepEqual(state.getStats().hasP2PSync, false)
})
