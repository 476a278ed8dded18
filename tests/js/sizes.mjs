// The script sends messages of the largest size that a Peerwork network allows to a Peerwork node
// and receives them back, with js-libp2p's default settings.
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
