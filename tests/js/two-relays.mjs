// Two clients at two connected relays discover each other, and gossip passes between them.
//
//   node two-relays.mjs <one relay> <the other relay>

import { bytes, circuit, echo, start, text, until } from './client.mjs'

const nodes = await Promise.all(process.argv.slice(2).map((relay) => start(relay)))
const [one, two] = nodes
await until('both reservations', () => nodes.every((node) => circuit(node) != null))
await until('discovery across relays', () =>
  one.found.has(two.peerId.toString()) && two.found.has(one.peerId.toString()))
const connection = await one.dial(circuit(two))
const echoed = (await echo(connection, bytes('hello'))).toString()

const heard = new Set()
for (const node of nodes) {
  node.services.pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic === 'across') heard.add(text(detail.data))
  })
  node.services.pubsub.subscribe('across')
}
await until('gossip across relays', async () => {
  for (const node of nodes) {
    await node.services.pubsub.publish('across', bytes(node.peerId.toString())).catch(() => {})
  }
  return heard.size === 2
})
console.log(JSON.stringify({ echoed, heard: heard.size }))
process.exit(0)
