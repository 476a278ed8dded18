/** A peer as applications see it. */

import type { Member } from './roster.js'
import type { Json } from '../bytes.js'

/** A present member of the room. A snapshot: ask again for what has changed. */
export interface Peer {
  /** Its id, proved by signatures. */
  readonly id: string
  /** The name it gives itself, at most 64 characters; any peer may use any name. */
  readonly name: string
  /** The state it shows, JSON of at most 4 KiB. */
  readonly state: Json
  /** Tasks it would compute at once for others; 0 if it offers none. */
  readonly workers: number
  /**
   * How this node is connected to it: `direct`, `relayed` over a circuit, or `none`, when only
   * published messages pass and a connection is made when one is needed.
   */
  readonly connection: 'direct' | 'relayed' | 'none'
  /** When it last said that it is present, in milliseconds since the epoch. */
  readonly lastSeen: number
}

export function peerOf (member: Member, connection: Peer['connection']): Peer {
  const { id, here, lastSeen } = member
  return { id, name: here.name, state: here.state, workers: here.workers, connection, lastSeen }
}
