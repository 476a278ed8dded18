// Two clients at a relay send each other many bytes over circuits, much faster than the relay forwards
// them. The script prints the bytes that arrived and whether all connections are still open.
//
//   node bulk.mjs <relay> <noise or tls> <bytes>

import { circuit, start, until } from './client.mjs'

// The certificate of the test's relay is signed by nobody.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'

const SINK = '/interop/sink/1'
const WRITE_BYTES = 16 * 1024
const [relay, security, total] = process.argv.slice(2)
// The clients do not ping: a ping waits behind the bytes that its own client has queued, and js-libp2p
// then ends the circuit.
const options = { discover: false, security, monitor: false }
const [one, two] = await Promise.all([start(relay, options), start(relay, options)])
for (const node of [one, two]) {
  node.received = 0
  node.closed = 0
  node.addEventListener('connection:close', () => { node.closed++ })
  await node.handle(SINK, (stream) => {
    stream.addEventListener('message', ({ data }) => { node.received += data.byteLength })
  }, { runOnLimitedConnection: true })
}
await until('both places', () => circuit(one) != null && circuit(two) != null)
await one.dial(circuit(two))

/** Sends all bytes in writes of `bytes`, without waiting until the writes before are sent. */
const send = async (from, to, bytes) => {
  const before = to.received
  const connection = await until('the circuit', () => from.getConnections(to.peerId)[0])
  const stream = await connection.newStream(SINK, { runOnLimitedConnection: true })
  const payload = new Uint8Array(bytes).fill(7)
  for (let sent = 0; sent < Number(total); sent += bytes) stream.send(payload.slice())
  const done = () => to.received - before >= Number(total) || from.closed + to.closed > 0
  await until('the bytes', done, 120)
  return to.received - before
}

// With TLS a whole write may become one WebSocket message.
const writes = security === 'tls' ? [WRITE_BYTES, Number(total)] : [WRITE_BYTES]
const arrived = []
for (const bytes of writes) {
  arrived.push(await send(one, two, bytes), await send(two, one, bytes))
}
console.log(JSON.stringify({ arrived, closed: one.closed + two.closed }))
process.exit(0)
