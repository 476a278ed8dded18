// A client sends the relay every kind of malformed circuit request, one stream after the other and
// then 300 at once, while two other clients talk and a third client connects.
//
//   node hop.mjs <relay by WebSocket> <relay by TCP>

import { randomBytes } from 'node:crypto'
import { circuit, echo, start, until } from './client.mjs'

const HOP = '/libp2p/circuit/relay/0.2.0/hop'
const [byWebSocket, byTcp] = process.argv.slice(2)
const discover = false
const [one, two, hostile] = await Promise.all([
  start(byWebSocket, { discover }), start(byTcp, { discover }), start(byWebSocket, { discover, reserve: false })
])
await until('both places', () => circuit(one) != null && circuit(two) != null)
const connection = await one.dial(circuit(two))

let echoes = 0
let slowest = 0
let over = false
const talking = (async () => {
  while (!over) {
    const payload = randomBytes(16 * 1024)
    const began = performance.now()
    if (Buffer.compare(await echo(connection, payload), payload) !== 0) throw new Error('another answer')
    slowest = Math.max(slowest, performance.now() - began)
    echoes++
  }
})()

const varint = (number) => {
  const bytes = []
  for (; number > 127; number = Math.floor(number / 128)) bytes.push(number % 128 | 128)
  return [...bytes, number]
}
const frame = (message) => Uint8Array.from([...varint(message.length), ...message])
// The fields of a `HopMessage`: 1 is its type (0 reserve, 1 connect, 2 status), 2 the peer, 5 the
// status.
const CONNECT = [0x08, 1]
const wrong = {
  'an unknown type': frame([0x08, 99]),
  'no peer to connect to': frame(CONNECT),
  'a garbage peer': frame([...CONNECT, 0x12, 34, 0x0a, 32, ...randomBytes(32)]),
  'a status': frame([0x08, 2, 0x28, 100]),
  'no protobuf': frame(Array.from({ length: 64 }, () => 0xff)),
  'a length of 2 GiB': Uint8Array.from(varint(2 ** 31)),
  'a length without an end': new Uint8Array(64).fill(0xff),
  'more than 4 KiB': frame(Array.from({ length: 4097 }, () => 0)),
  nothing: new Uint8Array(0)
}

const [hostileConnection] = hostile.getConnections()
/**
 * Sends bytes as a request; returns a promise that resolves when the relay ends the stream, and a
 * function that reads the status answered before.
 */
const ask = async (bytes, { end = false } = {}) => {
  const stream = await hostileConnection.newStream(HOP, { maxOutboundStreams: 1024 })
  const answer = []
  stream.addEventListener('message', ({ data }) => { answer.push(...data.subarray()) })
  const ended = new Promise((resolve) => {
    stream.addEventListener('close', () => resolve('ended'))
    stream.addEventListener('remoteCloseWrite', () => resolve('ended'))
  })
  stream.send(bytes)
  if (end) stream.close().catch(() => {})
  // The answer is a status message only: 5 bytes after the length prefix, whose last two bytes are
  // the status code.
  const status = () => answer.length === 6 ? answer[4] % 128 + answer[5] * 128 : undefined
  return { ended, status }
}

const outcomes = {}
for (const [what, bytes] of Object.entries(wrong)) {
  const { ended, status } = await ask(bytes, { end: bytes.length === 0 })
  outcomes[what] = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 20_000, 'open'))])
  if (status() != null) outcomes[what] = `${outcomes[what]}, ${status()}`
}

// Some of these messages are incomplete.
const messages = [...Object.values(wrong), frame([0x08, 0, 0x12, 9]).subarray(0, 3), Uint8Array.from([10, 0x08])]
const before = echoes
await Promise.all(Array.from({ length: 300 }, async (_, n) => {
  // The relay may have ended the stream already, and sending fails then.
  await ask(messages[n % messages.length]).catch(() => {})
}))
const late = await start(byTcp, { discover })
await until('the place of another', () => circuit(late) != null)
await until('the pair to talk on', () => echoes > before + 10)
over = true
await talking

const back = await echo(await late.dial(circuit(two)), Buffer.from('hello'))
console.log(JSON.stringify({
  outcomes, echoes, slowest, late: back.toString()
}))
process.exit(0)
