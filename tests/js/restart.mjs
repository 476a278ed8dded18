// Two clients reconnect after a restart of the relay. The script prints `ready`, waits for a line
// on stdin, and continues.
//
//   node restart.mjs <relay by WebSocket> <relay by TCP>

import { createInterface } from 'node:readline'
import { multiaddr } from '@multiformats/multiaddr'
import { bytes, circuit, echo, start, until } from './client.mjs'

const addresses = process.argv.slice(2)
const nodes = await Promise.all(addresses.map((address) => start(address)))
const [one, two] = nodes
const meet = async () => {
  await until('both reservations', () => nodes.every((node) => circuit(node) != null))
  await one.hangUp(two.peerId)
  const connection = await one.dial(circuit(two))
  return (await echo(connection, bytes('hello'))).toString()
}
const before = await meet()
console.log('ready')
for await (const _ of createInterface({ input: process.stdin })) break

// A circuit listener does not reconnect by itself; one dial of the relay restores it.
await Promise.all(nodes.map((node, n) => until('the relay', async () => {
  await node.dial(multiaddr(addresses[n])).catch(() => {})
  const relay = addresses[n].split('/p2p/')[1]
  return node.getConnections().some(({ remotePeer }) => remotePeer.toString() === relay)
})))
console.log(JSON.stringify({ before, after: await meet() }))
process.exit(0)
