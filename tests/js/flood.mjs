// Two thousand TCP connections as quickly as they open, of every kind that comes to nothing: silent
// ones, ones that begin a request or a handshake and stop, ones that send rubbish, ones that close at
// once. Meanwhile others come as always, and the port for browsers answers.
//
//   node flood.mjs <relay by WebSocket> <relay by TCP> <connections>

import { connect } from 'node:net'
import { bytes, circuit, echo, start, until } from './client.mjs'

const [byWebSocket, byTcp, count] = process.argv.slice(2)
const at = (relay) => ({ host: relay.split('/')[2], port: Number(relay.split('/')[4]) })
const web = `http://${at(byWebSocket).host}:${at(byWebSocket).port}`
const discover = false

const upgrade = (more) => `GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${more}`
/** What each connection does once it is open: where, what it sends, and whether it closes at once. */
const kinds = [
  { relay: byWebSocket },
  { relay: byWebSocket, close: true },
  { relay: byWebSocket, send: upgrade('') },
  // A whole upgrade, and nothing inside the WebSocket.
  { relay: byWebSocket, send: upgrade('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n') },
  { relay: byTcp },
  { relay: byTcp, close: true },
  { relay: byTcp, send: '\x13/multistream/1.0.0\n' },
  { relay: byTcp, send: 'GET / HTTP/1.1\r\n\r\n' }
]
let opened = 0
/** How many of each kind are still there. */
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
  // Whatever the relay says is read, or its end would not be seen.
  socket.resume()
  socket.on('error', () => {})
  socket.on('close', () => { left[kind]-- })
}

const timed = async (work) => {
  const began = performance.now()
  await work()
  return performance.now() - began
}
/** How long somebody who comes during the flood needs until it has a place; it tries again when refused. */
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
// Some of the silent were dropped before the relay saw them, when the queue of its socket was full, and
// nobody tells them: the relay says how many it still has.
const kept = async () => {
  const text = await (await fetch(`${web}/metrics`)).text()
  return Number(text.match(/^peerwork_api_connections\{listener="relay-front"\} (\d+)/m)[1])
}
await until('nobody who says nothing to be there', async () => await kept() < 20, 30)
const closed = performance.now() - began
over = true
await talking

console.log(JSON.stringify({ opened, took, waited, closed, left, echoes, slowest }))
process.exit(0)
