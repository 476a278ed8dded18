/** This module describes the modules that list the transports of a platform. */

import type { IceServer } from '../ice.js'
import type { Libp2pOptions } from 'libp2p'

/** @internal */
export type Transports = NonNullable<Libp2pOptions['transports']>

/** The settings of the transports. */
export interface TransportSettings {
  /** Returns the STUN and TURN servers for a WebRTC connection that begins. */
  iceServers: () => IceServer[]
}
