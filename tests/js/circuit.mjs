// Two js-libp2p nodes connect over a Peerwork relay: one makes a reservation, the other dials it
// through the circuit, pings it and sends bytes. The script prints its observations as one JSON
// line.
//
//   node circuit.mjs <relay multiaddr with /p2p/id>

import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { multiaddr } from '@multiformats/multiaddr'
import { until } from './client.mjs'

const relay = multiaddr(process.argv[2])
const PROTOCOL = '/interop/echo/1'

const create = async (listen) => createLibp2p({
  addresses: { listen },
  transports: [tcp(), webSockets(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping() },
  connectionGater: { denyDialMultiaddr: () => false }
})

const holder = await create([`${relay}/p2p-circuit`])
const caller = await create([])

await holder.handle(PROTOCOL, (stream) => {
  stream.addEventListener('message', (event) => { stream.send(event.data) })
}, { runOnLimitedConnection: true })

const relayRtt = await caller.services.ping.ping(relay)
const reserved = await until('the reservation', () =>
  holder.getMultiaddrs().find((address) => address.toString().includes('p2p-circuit')))

const connection = await caller.dial(reserved)
const stream = await connection.newStream(PROTOCOL, { runOnLimitedConnection: true })
const echoed = new Promise((resolve) => {
  const parts = []
  stream.addEventListener('message', (event) => {
    parts.push(Buffer.from(event.data.subarray()))
    const text = Buffer.concat(parts).toString()
    if (text.length >= 5) resolve(text)
  })
})
stream.send(Buffer.from('hello'))

console.log(JSON.stringify({
  relayPinged: relayRtt >= 0,
  reserved: reserved.toString(),
  through: connection.remoteAddr.toString(),
  limits: connection.limits ?? null,
  echoed: await echoed
}))
await Promise.all([caller.stop(), holder.stop()])
process.exit(0)
