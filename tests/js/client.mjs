// This module starts a js-libp2p client like those of pages and Node.js programs, which know only a
// relay.

import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { noise } from '@chainsafe/libp2p-noise'
import { tls } from '@libp2p/tls'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { gossipsub } from '@libp2p/gossipsub'
import { floodsub } from '@libp2p/floodsub'
import { pubsubPeerDiscovery } from '@libp2p/pubsub-peer-discovery'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { multiaddr } from '@multiformats/multiaddr'

// A script that hangs fails with a message.
setTimeout(() => {
  console.error('not done after five minutes')
  process.exit(1)
}, 300_000).unref()

export const ECHO = '/interop/echo/1'

/** Waits until `condition` returns a value. */
export const until = async (what, condition, seconds = 60) => {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const value = await condition()
    if (value != null && value !== false) return value
    if (Date.now() > deadline) throw new Error(`waited for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export const bytes = (text) => new TextEncoder().encode(text)
export const text = (bytes) => new TextDecoder().decode(bytes)

/** Starts a client that makes a reservation at the relay and discovers other clients by pubsub. */
export const start = async (relay, options = {}) => {
  const { discover = true, flood = false, reserve = true, transports = [tcp(), webSockets()] } = options
  const { security = 'noise', monitor = true, listen = reserve ? ['/p2p-circuit'] : [] } = options
  const pubsub = flood
    ? floodsub()
    : gossipsub({ runOnLimitedConnection: true, allowPublishToZeroTopicPeers: true })
  const node = await createLibp2p({
    addresses: { listen },
    transports: [...transports, circuitRelayTransport()],
    connectionEncrypters: [security === 'tls' ? tls() : noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: monitor },
    peerDiscovery: discover ? [pubsubPeerDiscovery({ interval: 1000 })] : [],
    services: { identify: identify(), ping: ping(), pubsub },
    connectionGater: { denyDialMultiaddr: () => false }
  })
  node.found = new Set()
  node.addEventListener('peer:discovery', ({ detail }) => {
    node.found.add(detail.id.toString())
  })
  await node.handle(ECHO, (stream) => {
    stream.addEventListener('message', ({ data }) => { stream.send(data) })
    stream.addEventListener('remoteCloseWrite', () => { stream.close().catch(() => {}) })
  }, { runOnLimitedConnection: true, maxInboundStreams: 1024 })
  await node.dial(multiaddr(relay))
  return node
}

/** The circuit address at which other clients can dial this client, as soon as it has one. */
export const circuit = (node) =>
  node.getMultiaddrs().find((address) => address.toString().includes('/p2p-circuit'))

/** Sends `payload` to a peer and reads the same bytes back. */
export const echo = async (connection, payload) => {
  const stream = await connection.newStream(ECHO, { runOnLimitedConnection: true })
  const parts = []
  let received = 0
  const back = new Promise((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      parts.push(data.subarray())
      received += data.byteLength
      if (received >= payload.length) resolve()
    })
    stream.addEventListener('close', ({ error }) => {
      reject(error ?? new Error('the stream ended early'))
    })
  })
  stream.send(payload)
  await back
  // All expected bytes have arrived; the way in which the stream ends does not matter.
  stream.close().catch(() => {})
  return Buffer.concat(parts)
}
