/** Tests `peerwork/peercompute` in Node.js: the life cycle, messages and the state of kernels. */

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { NodeKernel } from '../../src/peercompute/index.js'
import { snippets } from '../support/kernel-snippets.js'
import { Kernels, allMeet, idOf } from '../support/kernels.js'
import { Relay, ownLoopback } from '../support/relay.js'
import { until } from '../support/until.js'
import type { Json } from '../../src/index.js'
import type { KernelOptions } from '../../src/peercompute/index.js'

const kernels = new Kernels()
let relay: Relay
const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted

before(async () => { relay = await Relay.start() })
afterEach(async () => { await kernels.stop() })
after(async () => { await relay.remove() })

const make = (roomId: string, more: KernelOptions = {}): NodeKernel => {
  return kernels.make({ bootstrapPeers: [relay.tcp], gameId: 'test', roomId, listen: [], ...more })
}

/** Starts kernels of one room and waits until they are connected. */
async function room (roomId: string, count: number): Promise<NodeKernel[]> {
  const all = Array.from({ length: count }, () => make(roomId))
  await Promise.all(all.map(async (kernel) => { await kernel.start() }))
  await allMeet(all)
  return all
}

/** Collects the messages that reach a kernel. */
function heard (kernel: NodeKernel): Array<[string, Json]> {
  const messages: Array<[string, Json]> = []
  kernel.getNetworkManager().addMessageHandler((peer, message) => { messages.push([peer, message]) })
  return messages
}

test('the program of the document starts and stops', async () => {
  const run = new Function('NodeKernel', `${snippets.program(relay.tcp)}; return node`) as (kernel: typeof NodeKernel) => NodeKernel
  const node = run(NodeKernel)
  assert.equal(node.getStatus().isInitialized, false)
  await node.initialize()
  await node.initialize()
  assert.equal(node.getStatus().network.peerId, null)
  await Promise.all([node.start(), node.start()])
  await node.start()
  const { isInitialized, isStarted, topology, clock, network, state, compute } = node.getStatus()
  assert.deepEqual({ isInitialized, isStarted, topology, clock, compute }, {
    isInitialized: true,
    isStarted: true,
    topology: 'distributed',
    clock: { mode: 'independent', tickHz: 30, schedulerClock: 'internal' },
    compute: { enabled: true, available: true }
  })
  assert.deepEqual(network, { peerId: node.node?.peerId, peerCount: 0, isConnected: true, connections: 1 })
  assert.deepEqual([state.hasP2PSync, node.getStateManager().read('status')], [true, 'active'])
  await Promise.all([node.stop(), node.stop()])
  await node.stop()
  assert.deepEqual([node.isStarted, node.node, node.getStatus().network.isConnected], [false, undefined, false])
  assert.equal(node.getStateManager().read('status'), 'stopped')
})

test('start() alone is enough, and a kernel that stopped starts again with its peer id', async () => {
  const kernel = make('again')
  await kernel.start()
  const id = idOf(kernel)
  await kernel.stop()
  assert.equal(kernel.getStatus().network.peerId, null)
  await kernel.start()
  assert.equal(idOf(kernel), id)
})

test('kernels of one room meet, and kernels of other rooms and games do not', async () => {
  const [a, b] = await room('alpha', 2) as [NodeKernel, NodeKernel]
  const others = [make('beta'), make('alpha', { gameId: 'other' })]
  await Promise.all(others.map(async (kernel) => { await kernel.start() }))
  const all = [a, b, ...others]
  const messages = all.map(heard)
  await until('the message within the room', async () => {
    await Promise.all(all.map(async (kernel) => { await kernel.getNetworkManager().broadcast(idOf(kernel)) }))
    return messages[0]?.length !== 0 && messages[1]?.length !== 0
  })
  // A message that leaked would have arrived by now, on the same connections.
  assert.deepEqual(messages.map((list) => [...new Set(list.map(([from]) => from))]), [[idOf(b)], [idOf(a)], [], []])
  assert.deepEqual(all.map((kernel) => kernel.getStatus().network.peerCount), [1, 1, 0, 0])
})

test('a direct message reaches its addressee alone', async () => {
  const [a, b, c] = await room('direct', 3) as [NodeKernel, NodeKernel, NodeKernel]
  const messages = [a, b, c].map(heard)
  await a.getNetworkManager().sendToPeer(idOf(b), { type: 'secret' })
  assert.deepEqual(messages[1], [[idOf(a), { type: 'secret' }]])
  await until('a later message to all', async () => {
    await a.getNetworkManager().broadcast('to all')
    return messages[2]?.length !== 0 && messages[1]?.length !== 1
  })
  assert.ok(messages[2]?.every(([, message]) => message === 'to all'))
  assert.deepEqual(messages[0], [])
  await assert.rejects(a.getNetworkManager().sendToPeer('nobody', 1), code('invalid-argument'))
  const [peer] = a.getNetworkManager().getConnectedPeers()
  assert.deepEqual([peer?.gameId, peer?.roomId, peer?.via], ['test', 'direct', 'connection'])
})

test('a handler that throws disturbs no other handler', async () => {
  const [a, b] = await room('throws', 2) as [NodeKernel, NodeKernel]
  const network = b.getNetworkManager()
  const off = network.addMessageHandler(() => { throw new Error('on purpose') })
  const messages = heard(b)
  await a.getNetworkManager().sendToPeer(idOf(b), 'one')
  off()
  await a.getNetworkManager().sendToPeer(idOf(b), 'two')
  assert.deepEqual(messages.map(([, message]) => message), ['one', 'two'])
})

test('ping and state-request are answered', async () => {
  const [a, b] = await room('answers', 2) as [NodeKernel, NodeKernel]
  b.getStateManager().write('score', 7)
  const messages = heard(a)
  await a.getNetworkManager().sendToPeer(idOf(b), { type: 'ping', data: { timestamp: 5 } })
  await a.getNetworkManager().sendToPeer(idOf(b), { type: 'state-request' })
  const find = (type: string): unknown => messages.map(([, message]) => message as { type: string, data: unknown }).find((one) => one.type === type)?.data
  const pong = await until('the pong', () => find('pong')) as { originalTimestamp: number }
  assert.equal(pong.originalTimestamp, 5)
  const state = await until('the state', () => find('state-response')) as { data: Record<string, Json> }
  assert.equal(state.data['score'], 7)
})

test('messages on a further topic reach kernels that subscribe to it', async () => {
  const [a, b] = await room('topics', 2) as [NodeKernel, NodeKernel]
  const messages = heard(b)
  const off = b.getNetworkManager().subscribeTopic('side')
  await until('the message', async () => {
    await a.getNetworkManager().broadcast('aside', { topic: 'side' })
    return messages.length > 0
  })
  assert.deepEqual(messages[0], [idOf(a), 'aside'])
  off()
})

test('the state goes both ways, and a late kernel gets the earlier values', async () => {
  const [a, b] = await room('state', 2) as [NodeKernel, NodeKernel]
  const changes: unknown[] = []
  b.getStateManager().subscribe('title', (value, key) => { changes.push([key, value]) })
  const scoped: unknown[] = []
  b.getStateManager().observeNamespace('game', (value, key) => { scoped.push([key, value]) })
  a.getStateManager().write('title', 'ours')
  a.getStateManager().writeScoped('game', 'player-1', { x: 1 })
  b.getStateManager().batchWrite({ left: 1, right: 2 })
  await until('both directions', () => changes.length > 0 && scoped.length > 0 && a.getStateManager().has('right'))
  assert.deepEqual([changes, scoped], [[['title', 'ours']], [['player-1', { x: 1 }]]])
  a.getStateManager().deleteScoped('game', 'player-1')
  await until('the deletion', () => !b.getStateManager().hasScoped('game', 'player-1'))
  assert.deepEqual(scoped[1], ['player-1', undefined])

  const late = make('state')
  await late.start()
  await until('the earlier values', () => late.getStateManager().read('title') === 'ours' && late.getStateManager().read('left') === 1)
  assert.deepEqual(late.getStateManager().listNamespaceKeys('game'), [])
})

test('values written before the start win over older values, and are kept after the stop', async () => {
  const first = make('early')
  await first.start()
  first.getStateManager().write('a', 'old')
  first.getStateManager().write('b', 'old')
  await first.getStateManager().synchronize()
  const second = make('early')
  second.getStateManager().write('a', 'new')
  assert.equal(second.getStateManager().read('a'), 'new')
  await second.start()
  await until('the new value', () => first.getStateManager().read('a') === 'new' && second.getStateManager().read('b') === 'old')

  await second.stop()
  assert.deepEqual([second.getStateManager().read('a'), second.getStateManager().read('b')], ['new', 'old'])
  first.getStateManager().write('b', 'newer')
  await second.start()
  await until('the value of the meantime', () => second.getStateManager().read('b') === 'newer')
  assert.equal(first.getStateManager().read('b'), 'newer')
})

test('values that others deleted meanwhile stay deleted, and an empty room gets the values again', async () => {
  const [a, b] = await room('return', 2) as [NodeKernel, NodeKernel]
  await Promise.all([a, b].map(async (kernel) => { await kernel.getStateManager().synchronize() }))
  a.getStateManager().write('theirs', 1)
  b.getStateManager().write('ours', 1)
  await until('the values', () => a.getStateManager().has('ours') && b.getStateManager().has('theirs'))
  await b.stop()
  a.getStateManager().delete('theirs')
  const changes: unknown[] = []
  b.getStateManager().subscribe('theirs', (value) => { changes.push(value) })
  await b.start()
  await b.getStateManager().synchronize()
  await until('the deletion', () => !b.getStateManager().has('theirs'))
  assert.deepEqual([a.getStateManager().has('theirs'), a.getStateManager().read('ours'), changes.at(-1)], [false, 1, undefined])

  await Promise.all([a.stop(), b.stop()])
  await b.start()
  const late = make('return')
  await late.start()
  await until('the value of the room before', () => late.getStateManager().read('ours') === 1)
})

test('a write right before the stop reaches the others', async () => {
  const [a, b] = await room('farewell', 2) as [NodeKernel, NodeKernel]
  await Promise.all([a, b].map(async (kernel) => { await kernel.getStateManager().synchronize() }))
  a.getStateManager().writeScoped('game', 'me', 1)
  await until('the first value', () => b.getStateManager().hasScoped('game', 'me'))
  const left: unknown[] = []
  b.getNetworkManager().addEventHandler((_peer, message) => { left.push(...message.payload.map(({ payload }) => (payload as { type: string }).type)) })
  a.getStateManager().deleteScoped('game', 'me')
  a.getNetworkManager().queueEvent({ type: 'player_leave' }, { reliable: true })
  a.getNetworkManager().queueEvent({ type: 'farewell', target: idOf(b) })
  await a.stop()
  await until('the deletion and the events', () => !b.getStateManager().hasScoped('game', 'me') && left.length > 1)
  assert.deepEqual(left.sort(), ['farewell', 'player_leave'])
})

test('a kernel starts before its relay is there', async (t) => {
  const away = await Relay.start([], ownLoopback())
  t.after(async () => { await away.remove() })
  await away.stop('SIGKILL')
  const warnings: unknown[] = []
  t.mock.method(console, 'warn', (...words: unknown[]) => { warnings.push(words) })
  const kernel = make('before', { bootstrapPeers: [away.tcp], timeoutMs: 500 })
  await kernel.start()
  assert.deepEqual([kernel.isStarted, kernel.getStatus().network.isConnected, warnings.length], [true, false, 1])
  await away.start()
  await kernel.getNetworkManager().redialBootstrapPeers()
  await until('the connection', () => kernel.getStatus().network.isConnected)
})

test('with several relays of which one is dead, kernels meet', async () => {
  const dead = relay.tcp.replace(/\/tcp\/\d+/, '/tcp/1').replace(relay.id, '12D3KooWMTocLVb243eanESWBN3thdYVTJHGCJjo7jUbdoaxa8fC')
  const all = [make('several', { bootstrapPeers: [dead, relay.tcp] }), make('several', { bootstrapPeers: [`${relay.webSocket}/p2p/${relay.id}`, dead] })]
  await Promise.all(all.map(async (kernel) => { await kernel.start() }))
  await allMeet(all)
})

test('faults that waiting does not mend are errors of start()', async () => {
  await assert.rejects(make('none', { bootstrapPeers: [] }).start(), (error: unknown) => {
    return code('invalid-argument')(error) && /bootstrapPeers/.test((error as Error).message)
  })
  await assert.rejects(make('bad', { bootstrapPeers: ['nonsense'] }).start(), code('invalid-argument'))
  await assert.rejects(make('bad', { name: 'n'.repeat(65) }).start(), code('invalid-argument'))
  assert.throws(() => make('r'.repeat(93)), code('invalid-argument'))
  const kernel = make('unstarted')
  await assert.rejects(kernel.getNetworkManager().broadcast('x'), code('left'))
  assert.throws(() => { kernel.getStateManager().getYDoc() }, /peerwork\/yjs/)
  assert.equal(kernel.getGPUHub(), null)
})

test('stop() ends a start that waits for a relay', async () => {
  const kernel = make('stopped', { bootstrapPeers: [relay.tcp.replace(/\/tcp\/\d+/, '/tcp/1')] })
  const starting = assert.rejects(kernel.start(), code('left'))
  const since = Date.now()
  await kernel.stop()
  await starting
  assert.ok(Date.now() - since < 10_000)
  assert.equal(kernel.isStarted, false)
})

test('connections are visible in the form of libp2p', async () => {
  const watcher = make('view')
  const events: string[] = []
  const view = watcher.getNetworkManager().getLibp2pNode()
  for (const name of ['connection:open', 'connection:close']) {
    view.addEventListener(name, (event) => { events.push(`${name} ${(event as CustomEvent).detail.remotePeer}`) })
  }
  await watcher.start()
  const other = make('view')
  await other.start()
  await allMeet([watcher, other])
  const id = idOf(other)
  assert.deepEqual(view.getConnections(id).map(({ isRelay }) => isRelay), [false])
  assert.ok(view.getConnections().some(({ remotePeer }) => remotePeer.toString() === relay.id))
  await other.stop()
  await until('the end of the connection', () => view.getConnections(id).length === 0)
  assert.deepEqual(events, [`connection:open ${relay.id}`, `connection:open ${id}`, `connection:close ${id}`])
})
