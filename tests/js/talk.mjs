// A js-libp2p client with the commands of the Go program in `tests/go`. Each command prints its
// observations as JSON, one object a line.
//
//   node talk.mjs hold RELAY              reserves at a relay, and echoes until it is killed
//   node talk.mjs call ADDRESS BYTES      dials a node, pings it, and sends bytes to its echo
//   node talk.mjs [-flood] gossip RELAY TOPIC TEXT   publishes until it is killed, and prints what it hears

import { randomBytes } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'
import { bytes, circuit, echo, start, text, until } from './client.mjs'

const report = (line) => { console.log(JSON.stringify(line)) }
const relayOf = (address) => address.split('/p2p-circuit')[0]
const forever = () => new Promise(() => setInterval(() => {}, 60_000))

const hold = async (relay) => {
  const node = await start(relay, { discover: false })
  await until('the reservation', () => circuit(node) != null)
  report({ id: node.peerId.toString(), circuit: `${relay}/p2p-circuit/p2p/${node.peerId}` })
  await forever()
}

const call = async (address, length) => {
  const node = await start(relayOf(address), { discover: false, reserve: false })
  const connection = await node.dial(multiaddr(address))
  await node.services.ping.ping(connection.remotePeer)
  const payload = randomBytes(Number(length))
  const same = Buffer.compare(await echo(connection, payload), payload) === 0
  report({
    id: node.peerId.toString(),
    over: connection.remoteAddr.toString(),
    limited: connection.limits != null,
    echoed: same ? payload.length : null
  })
}

const gossip = async (flood, relay, topic, said) => {
  const node = await start(relay, { discover: false, reserve: false, flood })
  const { pubsub } = node.services
  pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic !== topic || node.peerId.equals(detail.from)) return
    report({ heard: text(detail.data), from: detail.from.toString() })
  })
  pubsub.subscribe(topic)
  report({ id: node.peerId.toString() })
  for (;;) {
    await pubsub.publish(topic, bytes(said)).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

const flood = process.argv[2] === '-flood'
const [command, ...rest] = process.argv.slice(flood ? 3 : 2)
const commands = { hold, call, gossip: (...rest) => gossip(flood, ...rest) }
await commands[command](...rest)
process.exit(0)
