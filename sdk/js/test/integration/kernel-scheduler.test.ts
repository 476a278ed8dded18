/** Tests the scheduler of kernels over a relay: snapshots, commands, events, and events that were lost. */

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { Kernels, allMeet, idOf } from '../support/kernels.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { NodeKernel } from '../../src/peercompute/index.js'

const kernels = new Kernels()
let relay: Relay

before(async () => { relay = await Relay.start() })
afterEach(async () => { await kernels.stop() })
after(async () => { await relay.remove() })

const make = (roomId: string): NodeKernel => kernels.make({ bootstrapPeers: [relay.tcp], gameId: 'scheduler', roomId, listen: [] })

async function room (roomId: string, count: number): Promise<NodeKernel[]> {
  const all = Array.from({ length: count }, () => make(roomId))
  await Promise.all(all.map(async (kernel) => { await kernel.start() }))
  await allMeet(all)
  return all
}

/** Collects the payloads of the events that reach a kernel. */
function events (kernel: NodeKernel): unknown[] {
  const payloads: unknown[] = []
  kernel.getNetworkManager().addEventHandler((_peer, message) => { payloads.push(...message.payload.map(({ payload }) => payload)) })
  return payloads
}

test('positions go round in snapshots', async () => {
  const [a, b] = await room('snapshots', 2) as [NodeKernel, NodeKernel]
  const seen = new Map<string, unknown>()
  b.getNetworkManager().addSnapshotHandler((peerId, { header, gameId, roomId, payload }) => {
    assert.deepEqual([header.peerId, gameId, roomId], [peerId, 'scheduler', 'snapshots'])
    for (const { id, data } of payload) if (id === 'player') seen.set(peerId, data)
  })
  let x = 1
  a.getNetworkManager().configureScheduler({ snapshotHz: 30, snapshotTopic: 'positions' })
  b.getNetworkManager().configureScheduler({ snapshotTopic: 'positions' })
  a.getNetworkManager().registerStateProvider(() => ({ x }), { id: 'player' })
  await until('the first position', () => (seen.get(idOf(a)) as { x: number } | undefined)?.x === 1)
  x = 2
  a.getNetworkManager().markStateDirty()
  await until('the next position', () => (seen.get(idOf(a)) as { x: number }).x === 2)
  const { lastRxAt, peerCount, pubsubPeers } = b.getNetworkManager().getHealth()
  assert.ok(lastRxAt > 0 && peerCount === 1 && pubsubPeers.includes(relay.id))
})

test('commands reach the authority alone', async () => {
  const [player, authority, other] = await room('commands', 3) as [NodeKernel, NodeKernel, NodeKernel]
  const [got, leaked]: [unknown[], unknown[]] = [[], []]
  authority.getNetworkManager().addCommandHandler((peer, { payload }) => { got.push([peer, ...payload]) })
  other.getNetworkManager().addCommandHandler(() => { leaked.push(1) })
  let key: string | null = 'left'
  player.getNetworkManager().setAuthority(idOf(authority))
  player.getNetworkManager().registerCommandProvider(() => key, { id: 'keys' })
  await until('the command', () => got.length > 0)
  key = null
  assert.deepEqual(got[0], [idOf(player), { id: 'keys', data: 'left' }])
  // A later message to all arrives, so a command that leaked would have arrived too.
  const heard = events(other)
  await until('an event', () => {
    player.getNetworkManager().queueEvent('after')
    return heard.length > 0
  })
  assert.deepEqual(leaked, [])
})

test('a signal with a target reaches the target alone, and is acknowledged', async () => {
  const [a, b, c] = await room('signals', 3) as [NodeKernel, NodeKernel, NodeKernel]
  const [atB, atC] = [events(b), events(c)]
  a.getNetworkManager().configureScheduler({ reliableEventTypes: ['webrtc-offer'] })
  a.getNetworkManager().queueEvent({ type: 'webrtc-offer', offer: 'sdp', target: idOf(b) })
  await until('the acknowledgement', () => a.getNetworkManager().getHealth().reliability.acked === 1)
  a.getNetworkManager().queueEvent({ type: 'all' }, { reliable: true })
  await until('the event for all', () => a.getNetworkManager().getHealth().reliability.acked === 2)
  assert.deepEqual(atB, [{ type: 'webrtc-offer', offer: 'sdp', target: idOf(b) }, { type: 'all' }])
  assert.deepEqual(atC, [{ type: 'all' }])
})

test('a reliable event whose first sendings are lost arrives once', async () => {
  const a = make('loss')
  await a.start()
  const network = a.getNetworkManager()
  network.configureScheduler({ eventRetryMs: 200, eventRetryMax: 20 })
  network.queueEvent({ type: 'spawn' }, { reliable: true, retryMs: 100 })
  await until('a sending that nobody hears', () => network.getHealth().reliability.sent >= 2)
  const b = make('loss')
  const heard = events(b)
  await b.start()
  await until('the acknowledgement', () => network.getHealth().reliability.acked === 1)
  assert.deepEqual(heard, [{ type: 'spawn' }])
  assert.equal(network.getHealth().reliability.pending, 0)
})

test('the kernel\'s clock and ticks of the program drive the scheduler', async () => {
  const [a, b] = await room('clock', 2) as [NodeKernel, NodeKernel]
  const heard = events(b)
  a.setClockPolicy({ mode: 'kernel', tickHz: 50 })
  a.getNetworkManager().queueEvent('by the clock')
  await until('the event by the clock', () => heard.length === 1)
  a.setClockPolicy({ mode: 'independent' })
  a.getNetworkManager().setSchedulerClock('external')
  a.getNetworkManager().queueEvent('by hand')
  a.tick()
  await until('the event by hand', () => heard.length === 2)
  assert.deepEqual(heard, ['by the clock', 'by hand'])
})
