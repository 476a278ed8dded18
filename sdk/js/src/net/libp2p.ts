/** This module starts the libp2p node of a member of a room: the core, with gossip. */

import { StrictSign, gossipsub } from '@libp2p/gossipsub'
import { transports } from '#transports'
import { startCore } from './core.js'
import { GossipStreams } from './gossip-streams.js'
import type { GossipSub, GossipSubComponents } from '@libp2p/gossipsub'
import type { Core, CoreSettings } from './core.js'
import type { IceServer } from '../ice.js'

/**
 * The gossipsub score of named relays. It exceeds any penalty, so that this node never ignores a
 * relay that its user named.
 */
const RELAY_SCORE = 1000

/** The parts of libp2p that the rest of the package uses. */
export interface Network extends Core {
  pubsub: GossipSub
  gossipStreams: GossipStreams
}

export interface NetworkSettings extends CoreSettings {
  /** Returns the STUN and TURN servers for a WebRTC connection that begins. */
  iceServers: () => IceServer[]
}

/** Starts libp2p without dialling any address. */
export async function startNetwork (settings: NetworkSettings): Promise<Network> {
  const parts: { streams?: GossipStreams } = {}

  const pubsub = (components: GossipSubComponents): GossipSub => {
    const { privateKey, peerId, peerStore, registrar, connectionManager, logger } = components
    const streams = new GossipStreams(connectionManager)
    parts.streams = streams
    const wrapped = streams.wrap(registrar)
    return gossipsub({
      globalSignaturePolicy: StrictSign,
      runOnLimitedConnection: true,
      fallbackToFloodsub: false,
      allowPublishToZeroTopicPeers: true,
      emitSelf: false,
      // The address penalty is off: peers that share a relay all appear to have the relay's
      // address.
      scoreParams: {
        IPColocationFactorWeight: 0,
        appSpecificScore: (id) => settings.isRelay(id) ? RELAY_SCORE : 0
      }
    })({ privateKey, peerId, peerStore, registrar: wrapped, connectionManager, logger })
  }

  const core = await startCore(settings, transports({ iceServers: settings.iceServers }), { pubsub })
  if (parts.streams === undefined) throw new Error('libp2p made its services when it was created')
  return {
    ...core,
    pubsub: core.libp2p.services['pubsub'] as GossipSub,
    gossipStreams: parts.streams
  }
}
