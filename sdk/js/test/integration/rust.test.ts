/** Tests the features that only the Rust program has: edges, the directory, limits and the page. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { App } from '../support/app.js'
import { Members, allSee } from '../support/members.js'
import { Relay, isRust } from '../support/relay.js'
import { RustEdge } from '../support/rust-edge.js'
import { until } from '../support/until.js'
import type { PeerworkNode } from '../../src/index.js'

const options = { skip: isRust ? false : 'PEERWORK_BIN names no program' }
const binary = process.env['PEERWORK_BIN'] ?? ''
const members = new Members()
const relays: Relay[] = []
const edges: RustEdge[] = []
let app: App

before(async () => { app = await App.start() })
after(async () => {
  await members.leave()
  await Promise.all(edges.map(async (edge) => { await edge.remove() }))
  await Promise.all(relays.map(async (relay) => { await relay.remove() }))
  await app.stop()
})

async function startRelay (...args: string[]): Promise<Relay> {
  const relay = await Relay.start(args)
  relays.push(relay)
  return relay
}

async function startEdge (relay: Relay, auth: boolean): Promise<RustEdge> {
  const edge = await RustEdge.start({ binary, relay: relay.tcp, ports: [app.port], auth })
  edges.push(edge)
  await edge.reserved()
  return edge
}

const failed = (code: string, side: string) => (error: unknown): boolean => {
  return error instanceof PeerworkError && error.code === code && error.side === side
}

test('an app behind an edge of the Rust program is called through the relay', options, async () => {
  const relay = await startRelay()
  const edge = await startEdge(relay, false)
  const node = await members.join({ relays: [relay.webSocket], room: 'rust', listen: [] })
  const response = await node.fetch(`peerwork://${edge.id}/${app.port}/echo?x`, { method: 'POST', body: 'hello' })
  assert.equal(response.status, 201)
  assert.equal((await response.json() as { body: string }).body, 'hello')
  const large = await node.fetch(`peerwork://${edge.id}/${app.port}/large?bytes=5000000`)
  assert.equal((await large.arrayBuffer()).byteLength, 5_000_000)
  await assert.rejects(node.fetch(`peerwork://${edge.id}/1/`), failed('port-not-allowed', 'edge'))
  await assert.rejects(node.fetch(`peerwork://${relay.id}/1/`), failed('not-supported', 'edge'))
})

test('a key of the Rust edge opens it, and no other does', options, async () => {
  const relay = await startRelay()
  const edge = await startEdge(relay, true)
  const node = await members.join({ relays: [relay.tcp], room: 'rust', listen: [] })
  const url = `peerwork://${edge.id}/${app.port}/echo`
  await assert.rejects(node.fetch(url), failed('key-missing', 'caller'))
  await assert.rejects(node.fetch(url, { key: 'pwk_nonsense' }), failed('key-invalid', 'caller'))
  const key = edge.createKey()
  // A running edge reads its key file again within a second.
  const response = await until('the edge to know the key', async () => {
    return await node.fetch(url, { key }).catch((error: unknown) => {
      assert.ok(failed('key-invalid', 'caller')(error), String(error))
      return undefined
    })
  })
  assert.equal(response.status, 201)
})

test('an edge at another relay is found in the directory', options, async () => {
  const away = await startRelay()
  const near = await startRelay('--peer', away.tcp)
  const edge = await startEdge(away, false)
  const node = await members.join({ relays: [near.webSocket], room: 'rust', listen: [] })
  const response = await until('the directory to know the edge', async () => {
    return await node.fetch(`peerwork://${edge.id}/${app.port}/echo`).catch((error: PeerworkError) => {
      assert.equal(error.code, 'edge-unknown', error.message)
      return undefined
    })
  })
  assert.equal(response.status, 201)
})

test('peers at two relays that know each other are in one room', options, async () => {
  const one = await startRelay()
  const two = await startRelay('--peer', one.tcp)
  const nodes = await Promise.all([one.webSocket, two.webSocket].map(async (address, at) => {
    return await members.join({ relays: [address], room: 'linked', name: `n${at}`, listen: [] })
  }))
  await allSee(nodes, 'relayed')
})

test('where a circuit reaches its limit the call is cut off, and the next one passes', options, async () => {
  const relay = await startRelay('--circuit-bytes', '1000000')
  const edge = await startEdge(relay, false)
  const node = await members.join({ relays: [relay.webSocket], room: 'rust', listen: [] })
  const large = async (): Promise<ArrayBuffer> => {
    return await (await node.fetch(`peerwork://${edge.id}/${app.port}/large?bytes=3000000`)).arrayBuffer()
  }
  await assert.rejects(large(), (error: unknown) => error instanceof PeerworkError && error.code === 'cut-off' && error.retryable)
  const response = await node.fetch(`peerwork://${edge.id}/${app.port}/echo`)
  assert.equal(response.status, 201)
})

test('peers whose circuits end by the clock stay together', options, async () => {
  const relay = await startRelay('--circuit-duration', '3s')
  const [a, b] = await Promise.all(['a', 'b'].map(async (name) => {
    return await members.join({ relays: [relay.webSocket], room: 'clock', name, listen: [] })
  })) as [PeerworkNode, PeerworkNode]
  await allSee([a, b], 'relayed')
  let ends = 0
  a.on('peer:update', ({ connection }) => { if (connection === 'none') ends += 1 })
  const left: unknown[] = []
  a.on('peer:leave', (peer) => { left.push(peer) })
  b.onMessage(() => {})
  await until('the second end', () => ends >= 2)
  await a.send(b.peerId, 'still here')
  await allSee([a, b], 'relayed')
  assert.deepEqual(left, [])
})

test('a peer for which a full relay keeps no place is in the room all the same', options, async () => {
  const relay = await startRelay('--max-reservations', '1')
  const join = async (name: string): Promise<PeerworkNode> => {
    return await members.join({ relays: [relay.webSocket], room: 'full', name, listen: [] })
  }
  const [first, second] = [await join('first'), await join('second')]
  assert.deepEqual([...first.relays, ...second.relays].map(({ connected, reserved }) => [connected, reserved]),
    [[true, true], [true, false]])
  assert.match(second.relays[0]?.error ?? '', /reservation/)
  // The node with a reservation is dialled by the node without one.
  await allSee([first, second], 'relayed')
  second.onMessage(() => {})
  await first.send(second.peerId, 'hello')
})

test('the relay\'s page tells its addresses', options, async () => {
  const relay = await startRelay()
  const port = /\/tcp\/(\d+)/.exec(relay.webSocket)?.[1]
  const node = await members.join({ relays: [`http://127.0.0.1:${port}`], room: 'page', listen: [] })
  assert.deepEqual(node.relays.map(({ id, connected }) => [id, connected]), [[relay.id, true]])
})

test('the limits of a relay by default are those of the document about PeerCompute', options, async () => {
  const port = /\/tcp\/(\d+)/.exec((await startRelay()).webSocket)?.[1]
  const { limits } = await (await fetch(`http://127.0.0.1:${port}/`)).json() as { limits: Record<string, number> }
  const { reservations, reservationSeconds, circuitBytes, circuitSeconds } = limits
  assert.deepEqual({ reservations, reservationSeconds, circuitBytes, circuitSeconds },
    { reservations: 100, reservationSeconds: 3600, circuitBytes: 50 * 1024 * 1024, circuitSeconds: 600 })
})
