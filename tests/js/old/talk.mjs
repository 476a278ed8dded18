// A client of js-libp2p 1 or 2 with the commands of the Go program in `tests/go`. Each command prints
// its observations as JSON, one object a line.
//
//   node old/talk.mjs VERSION hold RELAY              reserves, and echoes until it is killed
//   node old/talk.mjs VERSION call ADDRESS BYTES      dials a node, pings it, and calls its echo
//   node old/talk.mjs VERSION gossip RELAY TOPIC TEXT   publishes until it is killed, and prints what it hears

import { randomBytes } from 'node:crypto'
import { multiaddr } from '@multiformats/multiaddr'

// A script that hangs fails with a message.
setTimeout(() => {
  console.error('not done after three minutes')
  process.exit(1)
}, 180_000).unref()

const [version, command, ...rest] = process.argv.slice(2)
const load = async (name) => await import(`${name}-${version}`)
const [{ createLibp2p }, { tcp }, { webSockets }, { noise }, { yamux }, { identify }, { ping }, { gossipsub }, { circuitRelayTransport }] =
  await Promise.all([
    'libp2p', '@libp2p/tcp', '@libp2p/websockets', '@chainsafe/libp2p-noise', '@chainsafe/libp2p-yamux',
    '@libp2p/identify', '@libp2p/ping', '@chainsafe/libp2p-gossipsub', '@libp2p/circuit-relay-v2'
  ].map(load))

const ECHO = '/interop/echo/1'
const LIMITED = { runOnLimitedConnection: true, runOnTransientConnection: true }
const report = (line) => { console.log(JSON.stringify(line)) }
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const start = async (relay, reserve = false) => {
  const encryption = [noise()]
  // Version 1 reserves at relays that it finds by their protocols, version 2 where it listens.
  const found = reserve && version === '1' ? 1 : 0
  const node = await createLibp2p({
    addresses: { listen: reserve && version === '2' ? ['/p2p-circuit'] : [] },
    transports: [tcp(), webSockets(), circuitRelayTransport({ discoverRelays: found })],
    // The option has the first name in version 1 and the second name in version 2.
    connectionEncryption: encryption,
    connectionEncrypters: encryption,
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }) },
    connectionGater: { denyDialMultiaddr: () => false }
  })
  await node.handle(ECHO, ({ stream }) => { stream.sink(stream.source).catch(() => {}) }, LIMITED)
  await node.dial(multiaddr(relay))
  return node
}

const hold = async (relay) => {
  const node = await start(relay, true)
  while (!node.getMultiaddrs().some((address) => address.toString().includes('/p2p-circuit'))) await pause(20)
  report({ id: node.peerId.toString(), circuit: `${relay}/p2p-circuit/p2p/${node.peerId}` })
  for (;;) await pause(60_000)
}

const call = async (address, length) => {
  const node = await start(address.split('/p2p-circuit')[0])
  const connection = await node.dial(multiaddr(address))
  const stream = await connection.newStream(ECHO, LIMITED)
  const payload = randomBytes(Number(length))
  const parts = []
  const read = async () => {
    for await (const part of stream.source) parts.push(part.subarray())
  }
  await Promise.all([stream.sink([payload]), read()])
  report({
    id: node.peerId.toString(),
    over: connection.remoteAddr.toString(),
    limited: (connection.limits ?? connection.transient) != null,
    echoed: Buffer.compare(Buffer.concat(parts), payload) === 0 ? payload.length : null
  })
}

const gossip = async (relay, topic, said) => {
  const node = await start(relay)
  const { pubsub } = node.services
  pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic !== topic || node.peerId.equals(detail.from)) return
    report({ heard: new TextDecoder().decode(detail.data), from: detail.from.toString() })
  })
  pubsub.subscribe(topic)
  report({ id: node.peerId.toString() })
  for (;;) {
    await pubsub.publish(topic, new TextEncoder().encode(said)).catch(() => {})
    await pause(200)
  }
}

await { hold, call, gossip }[command](...rest)
process.exit(0)
