/**
 * A circuit relay and gossip hub in JavaScript, for work on this package without the Rust program.
 * The script prints the same lines as `peerwork relay`.
 *
 *   node js-relay.js <private key, base64url> <websocket port> <tcp port> <host>
 */

import '#transports'
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import type { GossipSub, SubscriptionChangeData } from '@libp2p/gossipsub'

const [key, webSocketPort = '0', tcpPort = '0', host = '127.0.0.1'] = process.argv.slice(2)
if (key === undefined) throw new Error('give a private key')

const libp2p = await createLibp2p({
  privateKey: privateKeyFromProtobuf(Buffer.from(key, 'base64url')),
  addresses: {
    listen: [`/ip4/${host}/tcp/${webSocketPort}/ws`, `/ip4/${host}/tcp/${tcpPort}`]
  },
  transports: [tcp(), webSockets()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionManager: { inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 1000 },
  services: {
    identify: identify(),
    ping: ping(),
    // js-libp2p sends its duration limit in milliseconds, although the specification demands seconds.
    circuit: circuitRelayServer({ reservations: { maxReservations: 1000, defaultDataLimit: 50n << 20n, defaultDurationLimit: 600_000 } }),
    pubsub: gossipsub({
      D: 200,
      Dlo: 100,
      Dhi: 400,
      Dout: 0,
      allowPublishToZeroTopicPeers: true,
      scoreParams: { IPColocationFactorWeight: 0 }
    })
  }
})

const pubsub = libp2p.services['pubsub'] as GossipSub
pubsub.addEventListener('subscription-change', (event: CustomEvent<SubscriptionChangeData>) => {
  for (const { topic, subscribe } of event.detail.subscriptions) {
    if (subscribe && !pubsub.getTopics().includes(topic)) pubsub.subscribe(topic)
  }
})

for (const address of libp2p.getMultiaddrs()) console.log(`Relay Address: ${address}`)

process.on('SIGTERM', () => { process.exit(0) })
