import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { multiaddr } from '@multiformats/multiaddr'
import { Identity, PeerworkError } from '../../src/index.js'
import { startNetwork } from '../../src/net/libp2p.js'
import { Topics } from '../../src/room/topics.js'
import { parseUpdate } from '../../src/state/wire.js'
import { Members, allSee, sees } from '../support/members.js'
import { Relay, ownLoopback } from '../support/relay.js'
import { until } from '../support/until.js'
import type { Network } from '../../src/net/libp2p.js'
import type { PeerworkNode } from '../../src/index.js'

const members = new Members()
const outsiders: Network[] = []
let relay: Relay

before(async () => { relay = await Relay.start([], ownLoopback()) })
after(async () => {
  await members.leave()
  await Promise.all(outsiders.map(async ({ libp2p }) => { await libp2p.stop() }))
  await relay.remove()
})

async function join (room: string, name: string): Promise<PeerworkNode> {
  return await members.join({ relays: [relay.webSocket], room, name, listen: [] })
}

test('a room of 15 members with two states causes no warning of Node.js', async () => {
  const warnings: string[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning.stack ?? warning.message) }
  process.on('warning', onWarning)
  try {
    const nodes = await Promise.all(Array.from({ length: 15 }, async (_, at) => {
      return await members.join({ relays: [relay.tcp], room: 'fifteen', name: `member ${at}` })
    }))
    await allSee(nodes)
    for (const name of ['one', 'two']) {
      const states = nodes.map((node) => node.state<number>(name))
      await Promise.all(states.map(async (state) => { await state.ready }))
      states[0]?.set('key', 1)
      await until('the write', () => states.every((state) => state.get('key') === 1))
    }
    await members.leave()
  } finally {
    process.off('warning', onWarning)
  }
  assert.deepEqual(warnings, [])
})

test('a node that joins late gets the earlier writes, and others get its own', async () => {
  const first = (await join('late', 'first')).state<number>('board', { initial: { zero: 0 } })
  first.set('one', 1)
  first.set('gone', 2)
  first.delete('gone')
  for (let at = 0; at < 500; at += 1) first.set(`many${at}`, at)
  await first.ready
  const late = (await join('late', 'late')).state<number>('board', { initial: { zero: 0 } })
  await until('the earlier writes', () => isDeepStrictEqual(late.toObject(), first.toObject()))
  assert.equal(late.get('many499'), 499)
  assert.equal(late.get('one'), 1)
  assert.equal(late.get('zero'), 0)
  assert.equal(late.get('gone'), undefined)
  late.set('from late', 3)
  await until('the way back', () => first.get('from late') === 3)
})

/** Records the writes on the topic of a state, as a node sees them that is in no room. */
async function listen (topic: string): Promise<string[]> {
  const { privateKey } = await Identity.generate()
  const network = await startNetwork({ privateKey, listen: [], iceServers: () => [], isRelay: () => true })
  outsiders.push(network)
  const heard: string[] = []
  new Topics(network).subscribe(topic, () => true, ({ from, data }) => {
    for (const { key, value } of parseUpdate(data) ?? []) heard.push(`${from} ${key} ${String(value)}`)
  })
  await network.libp2p.dial(multiaddr(relay.tcp))
  await until('the relay to join the topic', () => network.pubsub.getSubscribers(topic).length > 0)
  return heard
}

test('a write is published once, for any number of subscribers', async () => {
  const nodes = await Promise.all(['a', 'b', 'c', 'd'].map(async (name) => await join('echo', name)))
  await allSee(nodes)
  const states = nodes.map((node) => node.state<number>('s'))
  const changes = states.map(() => 0)
  states.forEach((state, at) => state.onChange(({ key }) => { if (key === 'k') changes[at] = (changes[at] ?? 0) + 1 }))
  const heard = await listen('peerwork/room/echo/state/s')
  const write = async (key: string, value: number, deadlineMs?: number): Promise<boolean> => {
    states[0]?.set(key, value)
    return await until('the write everywhere', () => {
      return states.every((state) => state.get(key) === value) && heard.includes(`${nodes[0]?.peerId} ${key} ${value}`)
    }, deadlineMs)
  }
  // The relay forwards messages only to the subscribers that it knows already.
  let tries = 0
  await until('the relay to know all of them', async () => await write('first', tries += 1, 1000).catch(() => false))
  for (let at = 0; at < 20; at += 1) await write('k', at)
  assert.deepEqual(changes, [20, 20, 20, 20])
  assert.deepEqual(heard.filter((said) => said.includes(' k ')),
    Array.from({ length: 20 }, (_, at) => `${nodes[0]?.peerId} k ${at}`))
})

test('writes made without any connection are sent when the relay is back', async () => {
  const [a, b] = [await join('away', 'a'), await join('away', 'b')]
  await allSee([a, b], 'relayed')
  const [sa, sb] = [a.state<string>('s'), b.state<string>('s')]
  sa.set('before', 'x')
  await until('the first write', () => sb.get('before') === 'x')
  await relay.stop('SIGKILL')
  await until('the loss', () => [a, b].every((node) => node.relays.every(({ connected }) => !connected)))
  sa.set('a', 'written by a')
  sb.set('b', 'written by b')
  sa.set('both', 'a')
  sb.set('both', 'b')
  await relay.start()
  await until('both to agree', () => sa.get('b') === 'written by b' && sb.get('a') === 'written by a' && sa.get('both') === sb.get('both'), 60_000)
  assert.deepEqual(sa.toObject(), sb.toObject())
})

test('with merge no count is lost when two write at once', async () => {
  const [a, b] = [await join('merge', 'a'), await join('merge', 'b')]
  const merge = (x: number, y: number): number => Math.max(x, y)
  const [sa, sb] = [a.state<number>('s', { merge }), b.state<number>('s', { merge })]
  await sees(a, b.peerId)
  sa.set('high', 7)
  sb.set('high', 5)
  await until('both to agree', () => sa.get('high') === 7 && sb.get('high') === 7)
  sb.set('high', 3)
  sb.set('low', 1)
  await until('the later write', () => sa.get('low') === 1)
  assert.equal(sb.get('high'), 7)
  assert.throws(() => { sa.delete('high') }, (error) => (error as PeerworkError).code === 'invalid-argument')
})

test('a state is one per name, and says what it does not take', async () => {
  const node = await join('bounds', 'a')
  const state = node.state('s')
  assert.equal(node.state('s'), state)
  const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted
  assert.throws(() => { state.set('k', 'x'.repeat(65_535)) }, code('too-large'))
  assert.throws(() => { state.set('k'.repeat(257), 1) }, code('invalid-argument'))
  assert.throws(() => { state.set('k', undefined as never) }, code('too-large'))
  state.close()
  assert.throws(() => { state.set('k', 1) }, code('left'))
  assert.notEqual(node.state('s'), state)
})
