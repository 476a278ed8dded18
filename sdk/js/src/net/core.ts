/**
 * This module configures and creates the libp2p node that a Peerwork node uses: connections,
 * membership, identify and circuits, without gossip.
 */

import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { Access } from './access.js'
import { Identified } from './fitness.js'
import { Liveness } from './liveness.js'
import { Membership, PROOF_DEADLINE_MS } from './membership.js'
import { namedRelays } from './named-relays.js'
import { stopQuietly } from './quiet-stop.js'
import type { Libp2p, PeerId, PrivateKey } from '@libp2p/interface'
import type { AddressManager, TransportManager } from '@libp2p/interface-internal'
import type { Libp2pOptions } from 'libp2p'
import type { Tokens } from './access.js'
import type { MembershipComponents } from './membership.js'
import type { IsNamed, Reservations } from './named-relays.js'
import type { NetworkSecret } from '../network/secret.js'
import type { Transports } from '../platform/transports.js'

/** The time for dialling one address; WebRTC needs several round trips through a relay. */
const ADDRESS_DEADLINE_MS = 15_000
/**
 * The bytes that a peer may send on a stream before they are read. A paused stream buffers them,
 * and libp2p resets a stream with more than 4 MiB; yamux's own limit is 16 MiB. Pings of the relay
 * wait behind them: 16 s on a link of 256 kbit/s, where the relay waits 20 s.
 */
const STREAM_WINDOW_BYTES = 512 * 1024
/** The time that a node has to answer to identify once the connection takes part in the network. */
const IDENTIFY_DEADLINE_MS = 5_000

/** The parts of libp2p that links to relays and edges use. */
export interface Core {
  libp2p: Libp2p
  membership: Membership
  reservations: Reservations
  identified: Identified
  access: Access
  transports: TransportManager
  /** Stops libp2p and clears the timers that it leaves, so that the process can end at once. */
  stop: () => Promise<void>
}

export interface CoreSettings {
  privateKey: PrivateKey
  listen: string[]
  isRelay: IsNamed
  /** The tokens of relays for members only. */
  tokens?: Tokens
  /**
   * The network's id as decimal text, and its secrets, the newest first; left out for a network
   * without a secret.
   */
  membership?: { network: string, secrets: readonly NetworkSecret[] }
}

/** Starts libp2p without dialling any address. */
export async function startCore (
  settings: CoreSettings, transports: Transports, services: NonNullable<Libp2pOptions['services']> = {}
): Promise<Core> {
  const parts: { transports?: TransportManager, addresses?: AddressManager, membership?: Membership } = {}
  let reservations: Reservations | undefined
  const access = new Access(settings.tokens ?? (() => undefined))

  const membership = (
    components: MembershipComponents & { peerId: PeerId, addressManager: AddressManager, transportManager: TransportManager }
  ): Membership => {
    parts.transports = components.transportManager
    parts.addresses = components.addressManager
    parts.membership = new Membership(components, {
      ...settings.membership ?? { network: '', secrets: [] }, self: components.peerId, guest: false
    })
    return parts.membership
  }

  const libp2p = await createLibp2p({
    privateKey: settings.privateKey,
    addresses: { listen: settings.listen },
    transports: [
      ...transports,
      (components) => {
        const named = namedRelays(components, settings.isRelay, access)
        reservations = named.reservations
        return named.transport
      }
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES } })],
    // All addresses may be dialled here, because this package chooses them itself, see
    // `net/reach.ts`.
    connectionGater: { denyDialMultiaddr: () => false },
    // `Liveness` takes its place.
    connectionMonitor: { enabled: false },
    connectionManager: {
      addressDialTimeout: ADDRESS_DEADLINE_MS,
      dialTimeout: 2 * ADDRESS_DEADLINE_MS,
      // The limit is high, because all circuits come from the relay's address, and a new member
      // gets a circuit from every peer.
      inboundConnectionThreshold: 1000,
      maxIncomingPendingConnections: 128
    },
    services: {
      membership,
      // libp2p runs identify at once, and its stream waits for the proof.
      identify: identify({ timeout: PROOF_DEADLINE_MS + IDENTIFY_DEADLINE_MS }),
      identifyPush: identifyPush(),
      ping: ping(),
      ...services
    }
  })
  if (parts.transports === undefined || parts.membership === undefined || reservations === undefined) {
    throw new Error('libp2p made its services and transports when it was created')
  }
  const liveness = new Liveness(libp2p)
  return {
    libp2p,
    membership: parts.membership,
    reservations,
    identified: new Identified(libp2p),
    access,
    transports: parts.transports,
    stop: async () => {
      liveness.stop()
      await stopQuietly(libp2p, parts.addresses)
    }
  }
}
