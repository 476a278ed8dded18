/** This module lists the transports of pages: WebSocket, and WebRTC to pages and to relays. */

import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { endingWebSockets, pageSockets } from './web-sockets.js'
import type { TransportSettings, Transports } from './transports.js'

export function transports ({ iceServers }: TransportSettings): Transports {
  return [
    endingWebSockets(pageSockets)(), webRTCDirect(),
    webRTC({ rtcConfiguration: async () => ({ iceServers: iceServers() }) })
  ]
}
