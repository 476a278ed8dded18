// A js-libp2p relay serves as the comparison for `cargo xtask bench relay`: all limits are lifted,
// and its gossip mesh holds all clients. The script prints the relay's address.
//
//   node --import ./node20.mjs relay.mjs

import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { gossipsub } from '@libp2p/gossipsub'
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'

const many = 100_000
const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp({ maxConnections: many, backlog: 4096 })],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux({ maxInboundStreams: many, maxOutboundStreams: many, maxEarlyStreams: 1024 })],
  connectionManager: {
    maxConnections: many, inboundConnectionThreshold: many, maxIncomingPendingConnections: many
  },
  connectionMonitor: { enabled: false },
  services: {
    identify: identify({ maxInboundStreams: many, maxOutboundStreams: many }),
    ping: ping(),
    pubsub: gossipsub({
      D: 200, Dlo: 100, Dhi: 400, Dout: 0, allowPublishToZeroTopicPeers: true,
      scoreParams: { IPColocationFactorWeight: 0 }
    }),
    relay: circuitRelayServer({
      maxInboundHopStreams: many, maxOutboundHopStreams: many, maxOutboundStopStreams: many,
      reservations: { maxReservations: many, applyDefaultLimit: false }
    })
  }
})
node.services.pubsub.subscribe('bench')
console.log(node.getMultiaddrs()[0].toString())
