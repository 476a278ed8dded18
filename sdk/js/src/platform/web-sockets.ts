/**
 * This module makes the WebSocket transport of libp2p end each socket whose dial failed. libp2p
 * leaves such sockets open: when the dial is aborted, and when the handshake on the socket fails.
 */

import { webSockets } from '@libp2p/websockets'
import { multiaddrToUri } from '@multiformats/multiaddr-to-uri'
import { orAborted } from '../time.js'
import type { Transport } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

/** The way in which a platform begins and ends its sockets. */
export interface Sockets<Socket> {
  begin: (url: string) => Socket
  /** Ends a socket at once, also before it is open. */
  end: (socket: Socket) => void
}

/** The way in which pages begin and end their sockets. */
export const pageSockets: Sockets<WebSocket> = {
  begin: (url) => new WebSocket(url),
  end: (socket) => { socket.close() }
}

/** The part of a socket that is used here. */
interface AnySocket {
  binaryType: unknown
  addEventListener: WebSocket['addEventListener']
}

/** Creates the WebSocket transport; libp2p calls its method `_connect` once for each dial. */
export function endingWebSockets<Socket extends AnySocket> ({ begin, end }: Sockets<Socket>): typeof webSockets {
  return (init) => (components) => {
    const transport = webSockets(init)(components) as Transport & { _connect?: unknown }
    if (transport._connect === undefined) throw new Error('this version of libp2p opens its WebSockets elsewhere')
    /** The sockets by the options of their dial, which libp2p passes on to `_connect`. */
    const sockets = new WeakMap<object, Socket>()
    transport._connect = async (address: Multiaddr, options: { signal: AbortSignal }): Promise<Socket> => {
      options.signal.throwIfAborted()
      const socket = begin(multiaddrToUri(address))
      sockets.set(options, socket)
      socket.binaryType = 'arraybuffer'
      await orAborted(new Promise((resolve, reject) => {
        socket.addEventListener('open', resolve, { once: true })
        socket.addEventListener('error', reject)
      }), options.signal)
      return socket
    }
    const dial = transport.dial.bind(transport)
    transport.dial = async (address, options) => {
      const own = { ...options }
      try {
        return await dial(address, own)
      } catch (error) {
        const socket = sockets.get(own)
        if (socket !== undefined) end(socket)
        throw error
      }
    }
    return transport
  }
}
