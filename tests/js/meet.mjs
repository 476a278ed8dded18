// Two clients that know only the relay, one over WebSocket and one over TCP, discover each other by
// pubsub, connect over a circuit, echo bytes, and gossip in both directions.
//
//   node meet.mjs <relay by WebSocket> <relay by TCP> [flood]

import { randomBytes } from 'node:crypto'
import { bytes, circuit, echo, start, text, until } from './client.mjs'

const [byWebSocket, byTcp, kind] = process.argv.slice(2)
const flood = kind === 'flood'
const [one, two] = await Promise.all([start(byWebSocket, { flood }), start(byTcp, { flood })])
const ids = [one, two].map((node) => node.peerId.toString())
await until('both reservations', () => circuit(one) != null && circuit(two) != null)
await until('discovery', () => one.found.has(ids[1]) && two.found.has(ids[0]))

// The first announcement may have been sent before the client had a circuit address; later
// announcements contain it.
const address = await until('the address of the other', async () => {
  const known = await one.peerStore.get(two.peerId).catch(() => null)
  return known?.addresses.map(({ multiaddr }) => multiaddr).find((a) => a.toString().includes('/p2p-circuit'))
})
const connection = await one.dial(address)
// js-libp2p accepts at most ten streams until its side of the connection is set up.
await echo(connection, bytes('hello'))
const echoes = await Promise.all(Array.from({ length: 16 }, async () => {
  const payload = randomBytes(64 * 1024)
  return Buffer.compare(await echo(connection, payload), payload) === 0
}))

const heard = { one: false, two: false }
const listen = (node, name, from) => {
  node.services.pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic === 'app' && text(detail.data) === from) heard[name] = true
  })
  node.services.pubsub.subscribe('app')
}
listen(one, 'one', 'from two')
listen(two, 'two', 'from one')
await until('gossip both ways', async () => {
  await one.services.pubsub.publish('app', bytes('from one')).catch(() => {})
  await two.services.pubsub.publish('app', bytes('from two')).catch(() => {})
  return heard.one && heard.two
})

console.log(JSON.stringify({
  circuit: connection.remoteAddr.toString().includes('/p2p-circuit'),
  limits: connection.limits == null ? null : {
    bytes: Number(connection.limits.bytes ?? 0),
    seconds: connection.limits.seconds ?? null
  },
  echoes: echoes.filter(Boolean).length,
  heard
}))
process.exit(0)
