/** Which connection to a peer is the best one. */

import type { Connection, PeerId } from '@libp2p/interface'

/** Whether the connection goes through a relay. WebRTC addresses name the relay too, but leave it. */
export function isRelayed (connection: Connection): boolean {
  const names = connection.remoteAddr.getComponents().map(({ name }) => name)
  return names.includes('p2p-circuit') && !names.includes('webrtc')
}

/** Anything that lists open connections. */
export interface Connections {
  getConnections: (peer: PeerId) => Connection[]
}

/** Open connections to a peer: direct ones first, and of equals the youngest first. */
export function connectionsTo (connections: Connections, peer: PeerId): Connection[] {
  const open = connections.getConnections(peer).filter(({ status }) => status === 'open')
  return open.sort((a, b) => {
    return Number(isRelayed(a)) - Number(isRelayed(b)) || b.timeline.open - a.timeline.open
  })
}
