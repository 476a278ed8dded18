/** This module orders the connections to a peer, the best connection first. */

import { isHeld } from './gate.js'
import type { Connection, PeerId } from '@libp2p/interface'

/**
 * Whether the connection runs through a relay. A WebRTC address names a relay too, but its
 * connection does not use the relay.
 */
export function isRelayed (connection: Connection): boolean {
  const names = connection.remoteAddr.getComponents().map(({ name }) => name)
  return names.includes('p2p-circuit') && !names.includes('webrtc')
}

/** An object that lists open connections. */
export interface Connections {
  getConnections: (peer: PeerId) => Connection[]
}

/** Whether a connection is open and takes part in the network. */
export function isUsable (connection: Connection): boolean {
  return connection.status === 'open' && !isHeld(connection)
}

/**
 * The usable connections to a peer: direct ones before relayed ones, and younger ones before older
 * ones.
 */
export function connectionsTo (connections: Connections, peer: PeerId): Connection[] {
  const open = connections.getConnections(peer).filter(isUsable)
  return open.sort((a, b) => {
    return Number(isRelayed(a)) - Number(isRelayed(b)) || b.timeline.open - a.timeline.open
  })
}
