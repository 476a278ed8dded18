/** This module lists the transports of Node.js: TCP and WebSocket. */

import './node20.js'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import type { TransportSettings, Transports } from './transports.js'

export function transports (_settings: TransportSettings): Transports {
  return [tcp(), webSockets()]
}
