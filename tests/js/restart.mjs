// Clients reconnect after a restart of the relay: two that listen on `/p2p-circuit`, and two that listen
// on the relay's own circuit address, of which one listens on `/p2p-circuit` too. The script prints
// `ready`, waits for a line on stdin, and continues.
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
const fixed = [`${addresses[0]}/p2p-circuit`]
const alone = await start(addresses[0], { listen: fixed })
const both = await start(addresses[0], { listen: [...fixed, '/p2p-circuit'] })
await until('the places of the static listeners', () => circuit(alone) != null && circuit(both) != null)
console.log('ready')
for await (const _ of createInterface({ input: process.stdin })) break

// A circuit listener does not reconnect by itself. One dial of the relay restores a listener on
// `/p2p-circuit`, and no listener on the circuit address of one relay.
const redial = (node, address) => until('the relay', async () => {
  await node.dial(multiaddr(address)).catch(() => {})
  const relay = address.split('/p2p/')[1]
  return node.getConnections().some(({ remotePeer }) => remotePeer.toString() === relay)
})
await Promise.all([
  ...nodes.map((node, n) => redial(node, addresses[n])),
  redial(alone, addresses[0]), redial(both, addresses[0])
])
const after = await meet()
await until('the place of the client with both listeners', () => circuit(both) != null)
console.log(JSON.stringify({ before, after, alone: circuit(alone) != null }))
process.exit(0)
