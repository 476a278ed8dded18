// Messages of the largest size that a Peerwork network allows, to a Peerwork node and back, with the
// settings that js-libp2p has by default.
//
//   node sizes.mjs <node by TCP> <topic> <bytes of a message>

import { start, until } from './client.mjs'

const [peer, topic, bytes] = process.argv.slice(2)
const node = await start(peer, { discover: false, reserve: false })
const { pubsub } = node.services
const sizes = []
pubsub.addEventListener('message', ({ detail }) => {
  if (detail.topic === topic) sizes.push(detail.data.byteLength)
})
pubsub.subscribe(topic)
await until('the node on the topic', () => pubsub.getSubscribers(topic).length > 0)
await pubsub.publish(topic, new Uint8Array(Number(bytes)).fill(1))
// The node answers with a message of the same size.
await until('the answer', () => sizes.length > 0)

console.log(JSON.stringify({ sizes }))
await node.stop()
process.exit(0)
