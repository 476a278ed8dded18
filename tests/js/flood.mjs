// The script opens two thousand TCP connections as fast as possible, of every kind that does not
// lead to a libp2p connection: silent connections, unfinished requests and handshakes, random
// bytes, and immediate closes. Meanwhile other clients can connect, and the port for browsers
// answers.
//
//   node flood.mjs <relay by WebSocket> <relay by TCP> <connections>

import { connect } from 'node:net'
import { bytes, circuit, echo, start, until } from './client.mjs'

const [byWebSocket, byTcp, count] = process.argv.slice(2)
const at = (relay) => ({ host: relay.split('/')[2], port: Number(relay.split('/')[4]) })
const web = `http://${at(byWebSocket).host}:${at(byWebSocket).port}`
const discover = false

const upgrade = (more) => `GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${more}`
/**
 * The kinds of connection: the address, the bytes that are sent, and whether the connection is
 * closed at once.
 */
const kinds = [
  { relay: byWebSocket },
  { relay: byWebSocket, close: true },
  { relay: byWebSocket, send: upgrade('') },
  // A complete WebSocket upgrade without any message after it.
  { relay: byWebSocket, send: upgrade('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n') },
  { relay: byTcp },
  { relay: byTcp, close: true },
  { relay: byTcp, send: '\x13/multistream/1.0.0\n' },
  { relay: byTcp, send: 'GET / HTTP/1.1\r\n\r\n' }
]
let opened = 0
/** The number of connections of each kind that are still open. */
const left = kinds.map(() => 0)
const flood = (n) => {
  const kind = n % kinds.length
  const { relay, send, close } = kinds[kind]
  left[kind]++
  const socket = connect(at(relay))
  socket.on('connect', () => {
    opened++
    if (send != null) socket.write(send, 'latin1')
    if (close) socket.destroy()
  })
  // The bytes from the relay are read, because otherwise the end of the connection would not be
  // noticed.
  socket.resume()
  socket.on('error', () => {})
  socket.on('close', () => { left[kind]-- })
}

const timed = async (work) => {
  const began = performance.now()
  await work()
  return performance.now() - began
}
/**
 * The time that a client needs during the flood to get a reservation; it retries when it is
 * refused.
 */
const comes = (relay) => timed(async () => {
  const node = await until('a connection', () => start(relay, { discover }).catch(() => null))
  await until('a place', () => circuit(node) != null)
})
const health = () => timed(async () => {
  const answer = await fetch(`${web}/healthz`, { signal: AbortSignal.timeout(30_000) })
  if (answer.status !== 200) throw new Error(`healthz says ${answer.status}`)
})

const [one, two] = await Promise.all([start(byWebSocket, { discover }), start(byTcp, { discover })])
await until('both places', () => circuit(one) != null && circuit(two) != null)
const connection = await one.dial(circuit(two))
let echoes = 0
let slowest = 0
let over = false
const talking = (async () => {
  while (!over) {
    slowest = Math.max(slowest, await timed(() => echo(connection, bytes('still here'))))
    echoes++
  }
})()

const began = performance.now()
for (let n = 0; n < Number(count); n++) flood(n)
const during = { webSocket: comes(byWebSocket), tcp: comes(byTcp), health: health() }
await until('all to be open', () => opened >= Number(count))
const took = performance.now() - began
const waited = {
  webSocket: await during.webSocket, tcp: await during.tcp, health: await during.health, healthAfter: await health()
}
await until('the relay to close them', () => left.every((some, kind) => some === 0 || kind === 0), 60)
// Some silent connections were dropped before the relay saw them, because the accept queue of its
// socket was full, and this side is not notified of that. The relay's own figures tell how many
// connections it still has.
const kept = async () => {
  const text = await (await fetch(`${web}/metrics`)).text()
  return Number(text.match(/^peerwork_api_connections\{listener="relay-front"\} (\d+)/m)[1])
}
await until('the relay to have closed the silent connections', async () => await kept() < 20, 30)
const closed = performance.now() - began
over = true
await talking

console.log(JSON.stringify({ opened, took, waited, closed, left, echoes, slowest }))
process.exit(0)
