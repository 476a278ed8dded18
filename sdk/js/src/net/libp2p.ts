/** The libp2p node under a Peerwork node. */

import { StrictSign, gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { platform } from '#platform'
import { GossipStreams } from './gossip-streams.js'
import { namedRelays } from './named-relays.js'
import type { GossipSub, GossipSubComponents } from '@libp2p/gossipsub'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import type { TransportManager } from '@libp2p/interface-internal'
import type { IsNamed, Reservations } from './named-relays.js'

/** How long dialling one address may take; WebRTC needs several round trips through a relay. */
const ADDRESS_DEADLINE_MS = 15_000
/**
 * What a peer may send before it is read. A paused stream keeps it, and beyond 4 MiB libp2p resets
 * the stream; yamux's own limit is 16 MiB.
 */
const STREAM_WINDOW_BYTES = 2 * 1024 * 1024
/** Above any topic score, so that no penalty makes a node deaf to the relay that its user named. */
const RELAY_SCORE = 1000

/** What the rest of the package works with. */
export interface Network {
  libp2p: Libp2p
  pubsub: GossipSub
  gossipStreams: GossipStreams
  reservations: Reservations
  transports: TransportManager
}

export interface NetworkSettings {
  privateKey: PrivateKey
  listen: string[]
  iceServers: RTCIceServer[]
  isRelay: IsNamed
}

interface Components extends GossipSubComponents {
  transportManager: TransportManager
}

/** Starts libp2p; nothing is dialled. */
export async function startNetwork (settings: NetworkSettings): Promise<Network> {
  const parts: { streams?: GossipStreams, transports?: TransportManager } = {}
  let reservations: Reservations | undefined

  const pubsub = (components: Components): GossipSub => {
    const { privateKey, peerId, peerStore, registrar, connectionManager, logger } = components
    const streams = new GossipStreams(connectionManager)
    parts.streams = streams
    parts.transports = components.transportManager
    const wrapped = streams.wrap(registrar)
    return gossipsub({
      globalSignaturePolicy: StrictSign,
      runOnLimitedConnection: true,
      fallbackToFloodsub: false,
      allowPublishToZeroTopicPeers: true,
      emitSelf: false,
      // Rooms behind one relay look as if all their peers had the relay's address.
      scoreParams: {
        IPColocationFactorWeight: 0,
        appSpecificScore: (id) => settings.isRelay(id) ? RELAY_SCORE : 0
      }
    })({ privateKey, peerId, peerStore, registrar: wrapped, connectionManager, logger })
  }

  const libp2p = await createLibp2p({
    privateKey: settings.privateKey,
    addresses: { listen: settings.listen },
    transports: [
      ...platform.transports({ iceServers: settings.iceServers }),
      (components) => {
        const named = namedRelays(components, settings.isRelay)
        reservations = named.reservations
        return named.transport
      }
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES } })],
    // Only addresses that this package chose are dialled, see `net/reach.ts`.
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: {
      addressDialTimeout: ADDRESS_DEADLINE_MS,
      dialTimeout: 2 * ADDRESS_DEADLINE_MS,
      // All circuits come from the relay's address, and a newcomer gets one from every peer.
      inboundConnectionThreshold: 1000,
      maxIncomingPendingConnections: 128
    },
    services: { identify: identify(), identifyPush: identifyPush(), ping: ping(), pubsub }
  })
  if (parts.streams === undefined || parts.transports === undefined || reservations === undefined) {
    throw new Error('libp2p made its services and transports when it was created')
  }
  return {
    libp2p,
    pubsub: libp2p.services['pubsub'] as GossipSub,
    gossipStreams: parts.streams,
    reservations,
    transports: parts.transports
  }
}
