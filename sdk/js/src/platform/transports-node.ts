/** This module lists the transports of Node.js: TCP and WebSocket. */

import './node20.js'
import { tcp } from '@libp2p/tcp'
import { WebSocket } from 'ws'
import { endingWebSockets } from './web-sockets.js'
import type { ClientOptions } from 'ws'
import type { TransportSettings, Transports } from './transports.js'

/** The time that the other side has to answer the close frame of a WebSocket; `ws` waits 30 s. */
const SOCKET_OPTIONS: ClientOptions & { closeTimeout: number } = { closeTimeout: 300 }
/** The code with which libp2p asks for an end without a close frame. */
const ABNORMAL_CLOSURE = 1006

class NodeWebSocket extends WebSocket {
  override close (code?: number, reason?: string | Buffer): void {
    if (code === ABNORMAL_CLOSURE) this.terminate()
    else super.close(code, reason)
  }
}

const nodeWebSockets = endingWebSockets({
  begin: (url) => new NodeWebSocket(url, SOCKET_OPTIONS) as unknown as globalThis.WebSocket & NodeWebSocket,
  end: (socket) => { socket.terminate() }
})

export function transports (_settings: TransportSettings): Transports {
  return [tcp(), nodeWebSockets()]
}
