import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import { multiaddr } from '@multiformats/multiaddr'
import { Identity } from '../../src/index.js'
import { startNetwork } from '../../src/net/libp2p.js'
import { Members, allSee, sees } from '../support/members.js'
import { Relay, ownLoopback } from '../support/relay.js'
import { until } from '../support/until.js'
import type { AddressInfo } from 'node:net'
import type { PeerMessage, PeerworkNode } from '../../src/index.js'

const members = new Members()
const relays: Relay[] = []

after(async () => {
  await members.leave()
  await Promise.all(relays.map(async (relay) => { await relay.remove() }))
})

async function startRelay (): Promise<Relay> {
  const relay = await Relay.start([], ownLoopback())
  relays.push(relay)
  return relay
}

test('peers find each other again after the relay was restarted', async () => {
  const relay = await startRelay()
  const [a, b] = await Promise.all([relay.webSocket, relay.tcp].map(async (address, at) => {
    return await members.join({ relays: [address], room: 'restart', name: `n${at}`, listen: [] })
  })) as [PeerworkNode, PeerworkNode]
  const events: string[] = []
  a.on('relay:disconnected', () => { events.push('disconnected') })
  a.on('relay:connected', () => { events.push('connected') })
  await allSee([a, b], 'relayed')
  const heard: unknown[] = []
  b.subscribe('t', ({ data }) => { heard.push(data) })

  await relay.stop('SIGKILL')
  await until('the loss to be seen', () => a.relays.every(({ connected }) => !connected) && a.peers.every(({ connection }) => connection === 'none'))
  assert.match(a.relays[0]?.error ?? '', /./)
  await relay.start()
  await allSee([a, b], 'relayed')

  assert.deepEqual(events, ['disconnected', 'connected'])
  b.onMessage(() => {})
  await a.send(b.peerId, 'back')
  await until('a published message', async () => {
    await a.publish('t', 'again')
    return heard.includes('again')
  })
})

test('a room survives the loss of one of its relays', async () => {
  const [one, two] = [await startRelay(), await startRelay()]
  const nodes = await Promise.all(['a', 'b'].map(async (name) => {
    return await members.join({ relays: [one.webSocket, two.tcp], room: 'two', name, listen: [] })
  }))
  const [a, b] = nodes as [PeerworkNode, PeerworkNode]
  await until('both reservations', () => nodes.every((node) => node.relays.every(({ reserved }) => reserved)))
  await allSee(nodes, 'relayed')
  const got: PeerMessage[] = []
  b.onMessage((message) => { got.push(message) })
  for (const relay of [one, two]) {
    await relay.stop('SIGKILL')
    await until('the loss', () => nodes.every((node) => node.relays.some(({ id, connected }) => id === relay.id && !connected)))
    await a.send(b.peerId, relay.id)
    await relay.start()
    await until('the return', () => nodes.every((node) => node.relays.every(({ reserved }) => reserved)))
  }
  assert.deepEqual(got.map(({ data }) => data), [one.id, two.id])
})

test('relays are found at a URL, also when their addresses change', async () => {
  const relay = await startRelay()
  let bootstrapPeers = ['nonsense', relay.webSocket]
  let asked = 0
  const server = createServer((request, response) => {
    asked += 1
    assert.equal(request.url, '/relay-config.json')
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ bootstrapPeers }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const node = await members.join({ relays: [url], room: 'url', name: 'url', listen: [] })
    assert.deepEqual(node.relays.map(({ id }) => id), [relay.id])
    const successor = await startRelay()
    bootstrapPeers = [successor.webSocket]
    await relay.stop('SIGKILL')
    await until('the other relay', () => node.relays.some(({ id, connected }) => id === successor.id && connected), 60_000)
    assert.ok(asked >= 2)
    assert.deepEqual(node.relays.map(({ id }) => id), [successor.id])
  } finally {
    server.close()
  }
})

test('rooms are separate: peers of one room connect, and hear nothing of the other', async () => {
  const relay = await startRelay()
  const join = async (room: string, name: string): Promise<PeerworkNode> => {
    return await members.join({ relays: [relay.webSocket], room, name, listen: [] })
  }
  const [red1, red2, blue1, blue2] = await Promise.all([
    join('red', 'red1'), join('red', 'red2'), join('blue', 'blue1'), join('blue', 'blue2')
  ])
  const heard: string[] = []
  for (const node of [red2, blue2]) node.subscribe('t', ({ data }) => { heard.push(`${node.own.name} ${String(data)}`) })
  // Messages pass inside each room, so a leak between the rooms would show too.
  await allSee([red1, red2], 'relayed')
  await allSee([blue1, blue2], 'relayed')
  await until('both rooms\' messages', async () => {
    await red1.publish('t', 'from red')
    await blue1.publish('t', 'from blue')
    return heard.includes('red2 from red') && heard.includes('blue2 from blue')
  })
  // A message that leaked into the other room would have arrived by now, on the same connections.
  assert.deepEqual(new Set(heard), new Set(['red2 from red', 'blue2 from blue']))
  assert.deepEqual(red1.peers.map(({ name }) => name), ['red2'])
  assert.deepEqual(blue1.peers.map(({ name }) => name), ['blue2'])
  red1.onMessage(() => {})
  await assert.rejects(blue1.send(red1.peerId, 'x'), /does not speak/)
})

test('only relays that the user named are asked for a place', async () => {
  const relay = await startRelay()
  const circuits = async (isRelay: boolean): Promise<string[]> => {
    const { privateKey } = await Identity.generate()
    const network = await startNetwork({ privateKey, listen: ['/p2p-circuit'], iceServers: () => [], isRelay: () => isRelay })
    try {
      const { remotePeer } = await network.libp2p.dial(multiaddr(relay.tcp))
      await until('the relay to say that it is one', async () => {
        const { protocols } = await network.libp2p.peerStore.get(remotePeer)
        return protocols.includes(RELAY_V2_HOP_CODEC)
      })
      await network.reservations.addRelay(remotePeer, 'discovered').catch(() => {})
      if (isRelay) await until('a place', () => network.reservations.hasReservation(remotePeer))
      return network.libp2p.getMultiaddrs().map(String).filter((address) => address.includes(relay.id))
    } finally {
      await network.libp2p.stop()
    }
  }
  assert.notDeepEqual(await circuits(true), [])
  assert.deepEqual(await circuits(false), [])
})

test('an identity that comes back is the same peer', async () => {
  const relay = await startRelay()
  const identity = await Identity.generate()
  const watcher = await members.join({ relays: [relay.tcp], room: 'again', name: 'watcher', listen: [] })
  const first = await members.join({ relays: [relay.tcp], room: 'again', name: 'first', identity, listen: [] })
  await sees(watcher, identity.peerId)
  await first.leave()
  await until('the goodbye', () => watcher.peers.length === 0)
  await members.join({ relays: [relay.webSocket], room: 'again', name: 'second', identity, listen: [] })
  assert.equal((await sees(watcher, identity.peerId, 'relayed')).name, 'second')
})
