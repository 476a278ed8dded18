// A floodsub client publishes messages whose sequence numbers have 1 to 8 bytes, as one of 256 of its
// random numbers begins with a zero byte, which js-libp2p does not write. The script prints which
// messages another floodsub client and a gossipsub client received.
//
//   node numbers.mjs <relay> <topic>

import { bytes, start, text, until } from './client.mjs'

const [relay, topic] = process.argv.slice(2)
const options = { discover: false, reserve: false }
const [sender, flood, gossip] = await Promise.all([
  start(relay, { ...options, flood: true }),
  start(relay, { ...options, flood: true }),
  start(relay, options)
])

/** The number of leading zero bytes of random numbers of eight bytes. */
let zeros = 0
const random = crypto.getRandomValues.bind(crypto)
Object.defineProperty(crypto, 'getRandomValues', {
  value: (array) => {
    random(array)
    if (array.length === 8) {
      array.fill(0, 0, zeros)
      array[zeros] = 0x80 | array[zeros]
    }
    return array
  }
})

const length = (number) => Math.ceil(number.toString(16).length / 2)
/** The texts that a client received, each with the length of its sequence number. */
const heard = (node) => {
  const texts = {}
  node.services.pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic === topic) texts[text(detail.data)] = length(detail.sequenceNumber)
  })
  node.services.pubsub.subscribe(topic)
  return texts
}
const byFlood = heard(flood)
const byGossip = heard(gossip)
const follows = (node) => node.services.pubsub.getSubscribers(topic).length > 0
await until('the relay to follow the topic', () => [sender, flood, gossip].every(follows))
// The gossipsub client gets messages as soon as one of full length reaches it.
await until('the first message', async () => {
  await sender.services.pubsub.publish(topic, bytes('first'))
  return byFlood.first != null && byGossip.first != null
})
for (zeros = 7; zeros >= 0; zeros--) {
  await sender.services.pubsub.publish(topic, bytes(`of ${8 - zeros}`))
}
await gossip.services.pubsub.publish(topic, bytes('of gossipsub'))
await until('all messages', () => Object.keys(byFlood).length === 10 && byGossip['of 8'] != null)
console.log(JSON.stringify({ byFlood, byGossip }))
process.exit(0)
