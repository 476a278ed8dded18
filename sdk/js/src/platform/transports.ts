/** This module describes the modules that list the transports of a platform. */

import type { Libp2pOptions } from 'libp2p'

export type Transports = NonNullable<Libp2pOptions['transports']>

/** The settings of the transports. */
export interface TransportSettings {
  /** STUN and TURN servers for WebRTC. */
  iceServers: RTCIceServer[]
}
