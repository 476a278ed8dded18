// A hostile client creates thousands of topics, gossips without end, sends a frame that is too
// large and opens silent sockets; the script checks that two other clients are not disturbed.
//
//   node abuse.mjs <relay by WebSocket>

import { connect } from 'node:net'
import WebSocket from 'ws'
import { bytes, start, text, until } from './client.mjs'

const [relay] = process.argv.slice(2)
const [, , host, , port] = relay.split('/')
const discover = false
const [hostile, noisy, one, two] = await Promise.all([0, 1, 2, 3].map(() => start(relay, { discover })))

const heard = new Map()
two.services.pubsub.addEventListener('message', ({ detail }) => {
  if (detail.topic === 'quiet') heard.set(text(detail.data), performance.now())
})
for (const node of [one, two]) node.services.pubsub.subscribe('quiet')
const passes = async (word) => {
  const sent = performance.now()
  await until(word, async () => {
    await one.services.pubsub.publish('quiet', bytes(word)).catch(() => {})
    return heard.has(word)
  })
  return heard.get(word) - sent
}
await passes('before')

/** The most topics of the hostile client that the relay has followed at once. */
let followed = 0
const look = async () => {
  const status = await (await fetch(`http://${host}:${port}/status.json`)).json()
  const its = status.topics.filter(({ name }) => name.startsWith('topic-'))
  followed = Math.max(followed, its.length)
  return status
}
for (let n = 0; n < 10_000; n++) hostile.services.pubsub.subscribe(`topic-${n}`)
await until('the relay to follow as many topics as one client may have', async () => {
  await look()
  return followed >= 100
})
const topics = await passes('topics')

noisy.services.pubsub.subscribe('loud')
await until('the relay to join', () => noisy.services.pubsub.getSubscribers('loud').length > 0)
let said = 0
const shout = async (count) => {
  for (let n = 0; n < count; n++) {
    await noisy.services.pubsub.publish('loud', bytes(`${said++} ${'x'.repeat(1000)}`)).catch(() => {})
  }
}
for (let n = 0; n < 10; n++) {
  await shout(100)
  await new Promise((resolve) => setTimeout(resolve))
}
const spam = await passes('spam')

const silent = Array.from({ length: 200 }, () => connect(Number(port), host))
const halfOpen = Array.from({ length: 50 }, () => new WebSocket(`ws://${host}:${port}/`))
for (const socket of [...silent, ...halfOpen]) socket.on('error', () => {})
const oversized = await new Promise((resolve) => {
  const socket = new WebSocket(`ws://${host}:${port}/`)
  socket.on('open', () => socket.send(new Uint8Array((2 << 20) + 1)))
  socket.on('error', () => {})
  socket.on('close', () => resolve('closed'))
})
const late = await start(relay, { discover })
const sockets = await passes('sockets')

let loud
await until('the relay to drop some', async () => {
  await shout(20)
  loud = (await look()).topics.find(({ name }) => name === 'loud')
  return loud?.dropped > 0
})
console.log(JSON.stringify({
  topics, spam, sockets, oversized,
  late: late.getConnections().length,
  followed,
  loud
}))
process.exit(0)
