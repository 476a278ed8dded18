/** This module lists the transports of pages: WebSocket, and WebRTC to pages and to relays. */

import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import type { TransportSettings, Transports } from './transports.js'

export function transports ({ iceServers }: TransportSettings): Transports {
  return [webSockets(), webRTCDirect(), webRTC({ rtcConfiguration: { iceServers } })]
}
