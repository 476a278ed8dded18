// Many clients run at once: every client discovers all others, and every published message reaches
// all clients.
//
//   node crowd.mjs <relay> <clients> <messages of each>

import { bytes, circuit, start, text, until } from './client.mjs'

const [relay, clients, messages] = process.argv.slice(2)
const nodes = await Promise.all(Array.from({ length: Number(clients) }, () => start(relay)))
await until('all reservations', () => nodes.every((node) => circuit(node) != null), 120)
const others = nodes.length - 1
await until('every client to find all others', () => nodes.every((node) => node.found.size >= others), 120)

const delays = []
for (const node of nodes) {
  node.services.pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic !== 'crowd') return
    const { sent } = JSON.parse(text(detail.data))
    delays.push(performance.now() - sent)
  })
  node.services.pubsub.subscribe('crowd')
}
const relayId = relay.split('/p2p/')[1]
const seesRelay = (node) =>
  node.services.pubsub.getSubscribers('crowd').some((peer) => peer.toString() === relayId)
await until('the relay to join the topic', () => nodes.every(seesRelay))
// A client joins the mesh only at the next heartbeat; until then messages wait for gossip.
await until('a message to reach all', async () => {
  delays.length = 0
  await nodes[0].services.pubsub.publish('crowd', bytes(JSON.stringify({ sent: performance.now() })))
  await new Promise((resolve) => setTimeout(resolve, 200))
  return delays.length >= others
})
delays.length = 0

// Each client sends two messages a second, one client after the other, because all of them share
// this process.
for (let n = 0; n < Number(messages); n++) {
  for (const node of nodes) {
    const payload = { sent: performance.now(), n, padding: 'x'.repeat(100) }
    await node.services.pubsub.publish('crowd', bytes(JSON.stringify(payload)))
    await new Promise((resolve) => setTimeout(resolve, 500 / nodes.length))
  }
  // A busy machine sends the next messages later; queues that overflow would lose some.
  const sent = nodes.length * (n + 1) * others
  await until('the messages so far', () => delays.length >= sent, 15).catch(() => {})
}
const expected = nodes.length * Number(messages) * others
await until('the rest', () => delays.length >= expected).catch(() => {})
delays.sort((a, b) => a - b)
console.log(JSON.stringify({
  pairs: nodes.length * others,
  delivered: delays.length / expected,
  p50: delays[Math.floor(delays.length * 0.5)],
  p95: delays[Math.floor(delays.length * 0.95)]
}))
process.exit(0)
