/**
 * This module lists the transports of pages that only call apps behind edges: WebSocket, and WebRTC
 * to relays. The code of WebRTC is loaded when a relay has no other address.
 */

import { transportSymbol } from '@libp2p/interface'
import { WebRTCDirect } from '@multiformats/multiaddr-matcher'
import { endingWebSockets, pageSockets } from './web-sockets.js'
import type { Transport } from '@libp2p/interface'
import type { WebRTCDirectTransportComponents } from '@libp2p/webrtc'
import type { TransportSettings, Transports } from './transports.js'

export function transports (_settings: TransportSettings): Transports {
  return [endingWebSockets(pageSockets)(), lazyWebRtcDirect]
}

function lazyWebRtcDirect (components: WebRTCDirectTransportComponents): Transport {
  let loading: Promise<Transport> | undefined
  const load = async (): Promise<Transport> => {
    const { webRTCDirect } = await import('@libp2p/webrtc')
    return webRTCDirect()(components)
  }
  return {
    [Symbol.toStringTag]: '@peerwork/lazy-webrtc-direct',
    [transportSymbol]: true,
    dial: async (address, options) => {
      // A download that failed is tried again by the next dial.
      loading ??= load().catch((error: unknown) => {
        loading = undefined
        throw error
      })
      return await (await loading).dial(address, options)
    },
    dialFilter: (addresses) => addresses.filter((address) => WebRTCDirect.exactMatch(address)),
    listenFilter: () => [],
    createListener: () => { throw new Error('a page cannot listen for WebRTC without a relay') }
  }
}
