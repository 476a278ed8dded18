/** `Peer` describes a member of the room to applications. */

import type { Member } from './roster.js'
import type { Json } from '../bytes.js'

/** A present member of the room. The object is a snapshot: read the list again to see changes. */
export interface Peer {
  /** The peer id, proved by signatures. */
  readonly id: string
  /** The name that the peer chose, at most 64 characters; any peer may use any name. */
  readonly name: string
  /** The state that the peer published, JSON of at most 4 KiB. */
  readonly state: Json
  /** The number of tasks that the peer offers to run at once; 0 if it offers none. */
  readonly workers: number
  /**
   * The connection of this node to the peer: `direct`, `relayed` by a circuit, or `none`. With
   * `none` only published messages are exchanged, and a connection is made on demand.
   */
  readonly connection: 'direct' | 'relayed' | 'none'
  /** The time of the peer's last presence message, in milliseconds since the epoch. */
  readonly lastSeen: number
}

/** @internal */
export function peerOf (member: Member, connection: Peer['connection']): Peer {
  const { id, here, lastSeen } = member
  return { id, name: here.name, state: here.state, workers: here.workers, connection, lastSeen }
}
