/** Tests the gate of connections between nodes in JavaScript. */

import '#transports'
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { NetworkSecret } from '../../src/index.js'
import { isHeld } from '../../src/net/gate.js'
import { Membership } from '../../src/net/membership.js'
import { Kind, NETWORK_PROTOCOL } from '../../src/net/proof.js'
import { StreamReader } from '../../src/stream/reader.js'
import { writeAll } from '../../src/stream/writer.js'
import { until } from '../support/until.js'
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { MembershipComponents } from '../../src/net/membership.js'

const ECHO = '/test/echo/1'
const SECRET = NetworkSecret.generate()
const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const running: Libp2p[] = []

interface Node {
  libp2p: Libp2p
  membership: Membership
  /** The reasons of refusals. */
  refused: string[]
  /** The streams of the echo protocol that were served. */
  served: number
}

afterEach(async () => { await Promise.all(running.splice(0).map(async (libp2p) => { await libp2p.stop() })) })

/** Starts a node; with `undefined` a node that does not know the protocol of the proof. */
async function start (secrets?: NetworkSecret[]): Promise<Node> {
  const node = { refused: [], served: 0 } as unknown as Node
  const service = (components: MembershipComponents & { peerId: PeerId }): object => {
    if (secrets === undefined) return {}
    node.membership = new Membership(components, { self: components.peerId, network: '7', secrets, guest: false })
    node.membership.onRefused = ({ reason }) => { node.refused.push(reason) }
    return node.membership
  }
  node.libp2p = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { membership: service, identify: identify() }
  })
  running.push(node.libp2p)
  await node.libp2p.handle(ECHO, (stream) => {
    node.served += 1
    stream.addEventListener('message', ({ data }) => { stream.send(data) })
  })
  return node
}

async function dial (from: Node, to: Node): Promise<Connection> {
  return await from.libp2p.dial(to.libp2p.getMultiaddrs())
}

async function echo (connection: Connection): Promise<void> {
  const stream = await connection.newStream(ECHO)
  await writeAll(stream, Uint8Array.of(7), soon())
  assert.equal(await new StreamReader(stream).byte(soon()), 7)
}

function back (node: Node, other: Node): Connection | undefined {
  return node.libp2p.getConnections(other.libp2p.peerId)[0]
}

async function closed (connection: Connection): Promise<void> {
  await until('the end of the connection', () => connection.status !== 'open')
}

test('members use each other\'s protocols at once, and streams wait for the proof', async () => {
  const [a, b] = [await start([SECRET]), await start([NetworkSecret.generate(), SECRET])]
  const identified = new Promise((resolve) => { a.libp2p.addEventListener('peer:identify', resolve) })
  const connection = await dial(a, b)
  assert.ok(isHeld(connection), 'the proof takes a round trip')
  await echo(connection)
  assert.ok(!isHeld(connection))
  await echo(await until('the connection', () => back(b, a)))
  await identified
  assert.deepEqual([a.refused, b.refused], [[], []])
})

test('a node that does not know the protocol of the proof is closed, and no protocol is served to it', async () => {
  const [member, stranger] = [await start([SECRET]), await start()]
  const connection = await dial(stranger, member)
  await assert.rejects(echo(connection))
  await closed(connection)
  assert.match(member.refused.join(), /cannot prove the network's secret: it does not speak/)
  assert.equal(member.served, 0)
})

test('nodes with other secrets refuse each other, whichever of them dials', async () => {
  for (const dials of [0, 1]) {
    const nodes = [await start([SECRET]), await start([NetworkSecret.generate()])] as [Node, Node]
    const [from, to] = dials === 0 ? nodes : nodes.toReversed() as [Node, Node]
    const connection = await dial(from, to)
    await assert.rejects(echo(connection), /secret/)
    await closed(connection)
    await until('both refusals', () => from.refused.length > 0 && to.refused.length > 0)
    for (const { refused } of nodes) assert.match(refused.join(), /knows another secret/)
    assert.deepEqual([from.served, to.served], [0, 0])
  }
})

test('a node without a secret learns why a member closes the connection', async () => {
  const [member, stranger] = [await start([SECRET]), await start([])]
  const connection = await dial(stranger, member)
  await assert.rejects(stranger.membership.passed(connection, soon()), /has a secret that this node does not know/)
  await closed(connection)
  await until('the refusal', () => member.refused.length > 0)
  assert.match(member.refused.join(), /does not know the secret/)
  assert.ok(isHeld(connection))
})

test('nodes without a secret use each other\'s protocols as before', async () => {
  const [a, b, plain] = [await start([]), await start([]), await start()]
  for (const other of [b, plain]) {
    const connection = await dial(a, other)
    assert.ok(!isHeld(connection))
    await echo(connection)
    await a.membership.passed(connection, soon())
  }
  assert.deepEqual(a.refused, [])
})

/** Starts a stranger that answers each challenge with some bytes, and dials a member. */
async function answering (member: Node, bytes: Uint8Array): Promise<{ connection: Connection, verdict: Promise<number> }> {
  const stranger = await start()
  const verdict = new Promise<number>((resolve, reject) => {
    void stranger.libp2p.handle(NETWORK_PROTOCOL, async (stream: Stream) => {
      const reader = new StreamReader(stream)
      await reader.exactly(32, soon())
      await writeAll(stream, bytes, soon())
      reader.byte(soon()).then(resolve, reject).finally(() => { void stream.close() })
    })
  })
  verdict.catch(() => {})
  return { connection: await dial(stranger, member), verdict }
}

test('answers without a valid proof are refused', async () => {
  const zeros = new Array<number>(64).fill(0)
  for (const kind of [Kind.open, Kind.guest, Kind.local]) {
    const member = await start([SECRET])
    const { connection, verdict } = await answering(member, Uint8Array.of(kind))
    assert.equal(await verdict, 0)
    await closed(connection)
    assert.match(member.refused.join(), /does not know the secret/)
  }
  for (const [bytes, reason] of [
    [[Kind.proofs, 1, ...zeros.slice(32)], /another secret/], [[Kind.proofsAlone, 2, ...zeros], /another secret/],
    [[Kind.proofs, 0], /0 proofs/], [[Kind.proofs, 3, ...zeros], /3 proofs/], [[5], /answered 5/]
  ] as Array<[number[], RegExp]>) {
    const member = await start([SECRET])
    const { connection } = await answering(member, Uint8Array.from(bytes))
    await closed(connection)
    await until('the refusal', () => member.refused.length > 0)
    assert.match(member.refused.join(), reason)
    assert.equal(member.served, 0)
  }
})

test('four challenges of one connection are answered, one at a time, and no fifth', async () => {
  const [asked, asking] = [await start([]), await start()]
  const connection = await dial(asking, asked)
  const ask = async (): Promise<number> => {
    const stream = await connection.newStream(NETWORK_PROTOCOL)
    await writeAll(stream, new Uint8Array(32), soon())
    const reader = new StreamReader(stream)
    const kind = await reader.byte(soon())
    await writeAll(stream, Uint8Array.of(1), soon())
    assert.equal(await reader.read(soon()), null)
    return kind
  }
  for (let at = 0; at < 4; at += 1) assert.equal(await ask(), Kind.open)
  await assert.rejects(ask())
})
