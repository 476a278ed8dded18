// A client without the ping service connects to a node and says "open" when it has refused twelve pings
// on a connection that is still the first one.
//
//   node without-ping.mjs <node>

import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { multiaddr } from '@multiformats/multiaddr'
import { until } from './client.mjs'

const PINGS = 12
let refused = 0
const muxer = yamux()
/** Counts the streams that the other side opens; after identify, all of them are pings. */
const counting = (components) => {
  const factory = muxer(components)
  const create = factory.createStreamMuxer.bind(factory)
  factory.createStreamMuxer = (...rest) => {
    const made = create(...rest)
    made.addEventListener('stream', () => { refused++ })
    return made
  }
  return factory
}

const node = await createLibp2p({
  transports: [tcp(), webSockets()],
  connectionEncrypters: [noise()],
  streamMuxers: [counting],
  services: { identify: identify() },
  connectionGater: { denyDialMultiaddr: () => false }
})
const connection = await node.dial(multiaddr(process.argv[2]))
await until('the pings', () => refused >= PINGS || connection.status !== 'open')
console.log(connection.status)
await new Promise(() => setInterval(() => {}, 60_000))
