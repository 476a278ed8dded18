/**
 * A member of a room in a process of its own. The member counts in the shared state `s`, under its
 * name, five times a second, and prints what it knows each time, as JSON.
 *
 *   node member.js <room> <name> <relay> …
 */

import { PeerworkNode } from '../../src/index.js'

const [room = '', name = '', ...relays] = process.argv.slice(2)
const node = await PeerworkNode.join({ relays, room, name, listen: [] })
const state = node.state<number>('s')
let count = 0

/** A line that a member prints. */
export interface Told {
  id: string
  peers: string[]
  state: Record<string, number>
  /** The processor's time that the process used, in milliseconds. */
  cpuMs: number
}

setInterval(() => {
  state.set(name, count += 1)
  const { user, system } = process.cpuUsage()
  const told: Told = { id: node.peerId, peers: node.peers.map(({ id }) => id), state: state.toObject(), cpuMs: (user + system) / 1000 }
  console.log(JSON.stringify(told))
}, 200)
