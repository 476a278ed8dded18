import assert from 'node:assert/strict'
import test from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { Identity } from '../../src/index.js'
import { GossipStreams } from '../../src/net/gossip-streams.js'
import { until } from '../support/until.js'
import type { Connection, PeerId, Stream, Topology } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'

/** The part of a stream that the code under test uses. */
class FakeStream extends EventTarget {
  writeStatus = 'writable'

  abort (): void {
    this.writeStatus = 'closed'
    this.dispatchEvent(new Event('close'))
  }
}

/** A model of gossipsub's handling of connections: a queue of peers, and a stream opened for each. */
class FakeGossip {
  readonly streams = new Map<string, Stream>()
  #queue = Promise.resolve()
  topology: Topology = {}

  readonly registrar = {
    register: async (_protocol: string, topology: Topology) => {
      this.topology = topology
      return ''
    }
  } as unknown as Registrar

  readonly own: Topology = {
    onConnect: (peer, connection) => {
      this.#queue = this.#queue.then(async () => {
        if (this.streams.has(peer.toString())) return
        const stream = await connection.newStream(['/gossip/2', '/gossip/1'])
        this.streams.set(peer.toString(), stream)
        stream.addEventListener('close', () => { this.streams.delete(peer.toString()) })
      }).catch(() => {})
    }
  }
}

async function fakes (): Promise<{ gossip: FakeGossip, streams: GossipStreams, connect: Connect }> {
  const open: Connection[] = []
  const getConnections = (peer?: PeerId): Connection[] => open.filter(({ remotePeer }) => peer?.equals(remotePeer) === true)
  const streams = new GossipStreams({ getConnections } as ConnectionManager)
  const gossip = new FakeGossip()
  const registrar = streams.wrap(gossip.registrar)
  for (const protocol of ['/gossip/2', '/gossip/1']) await registrar.register(protocol, gossip.own)
  const connect: Connect = async (newStream) => {
    const remotePeer = peerIdFromString((await Identity.generate()).peerId)
    const connection = { remotePeer, remoteAddr: multiaddr('/ip4/127.0.0.1/tcp/1'), status: 'open', newStream } as unknown as Connection
    open.push(connection)
    void gossip.topology.onConnect?.(remotePeer, connection)
    return remotePeer.toString()
  }
  return { gossip, streams, connect }
}

type Connect = (newStream: (protocols: string[]) => Promise<FakeStream>) => Promise<string>

test('a connection that is dead keeps nobody else from gossip', async () => {
  const { gossip, connect } = await fakes()
  const asked: string[][] = []
  await connect(async () => await new Promise(() => {}))
  const alive = await connect(async (protocols) => {
    asked.push(protocols)
    return new FakeStream()
  })
  await until('the stream to the other peer', () => gossip.streams.has(alive))
  assert.deepEqual(asked, [['/gossip/2', '/gossip/1']])
})

test('a stream that ends is opened again, and one that failed when the peer is attended next', async () => {
  const { gossip, streams, connect } = await fakes()
  let opened = 0
  const peer = await connect(async () => {
    opened += 1
    if (opened === 2) throw new Error('not this time')
    return new FakeStream()
  })
  const first = await until('the first stream', () => gossip.streams.get(peer))
  first.abort(new Error('over'))
  await until('the second try', () => opened === 2)
  assert.equal(gossip.streams.size, 0)
  const third = await until('the third try', () => {
    streams.attendAll()
    return gossip.streams.get(peer)
  })
  streams.attendAll()
  assert.equal(opened, 3)
  assert.notEqual(third, first)
})
