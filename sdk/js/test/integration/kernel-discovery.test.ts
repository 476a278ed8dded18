/**
 * Tests discovery topics: programs that use js-libp2p and its own discovery module, behind the
 * relay, find kernels and each other.
 */

import '#platform'
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { pubsubPeerDiscovery } from '@libp2p/pubsub-peer-discovery'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { DISCOVERY_TOPIC } from '../../src/peercompute/discovery.js'
import { snippets } from '../support/kernel-snippets.js'
import { Kernels, idOf } from '../support/kernels.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { Libp2p, PeerDiscovery } from '@libp2p/interface'

type Discovery = ReturnType<typeof pubsubPeerDiscovery>

const CUSTOM = 'my-custom-app._peer-discovery._p2p._pubsub'
const kernels = new Kernels()
const programs: Libp2p[] = []
let relay: Relay

before(async () => { relay = await Relay.start() })
after(async () => {
  await kernels.stop()
  await Promise.all(programs.map(async (program) => { await program.stop() }))
  await relay.remove()
})

/** The discovery module of the document's example, evaluated as the document shows it. */
function fromDocument (): Discovery {
  const make = new Function('pubsubPeerDiscovery', `return ${snippets.discovery.trim()}`) as (module: unknown) => Discovery
  return make(pubsubPeerDiscovery)
}

/** Starts a program that uses js-libp2p alone, and connects it to the relay. */
async function startProgram (discovery: Discovery): Promise<{ program: Libp2p, found: Set<string> }> {
  const program = await createLibp2p({
    addresses: { listen: ['/p2p-circuit'] },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    peerDiscovery: [discovery as unknown as (components: unknown) => PeerDiscovery],
    services: { identify: identify(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }) }
  })
  programs.push(program)
  const found = new Set<string>()
  program.addEventListener('peer:discovery', ({ detail }) => { found.add(detail.id.toString()) })
  await program.dial(multiaddr(relay.tcp))
  return { program, found }
}

test('programs with the discovery example of the document find each other over the relay', async () => {
  const [a, b] = await Promise.all([startProgram(fromDocument()), startProgram(fromDocument())])
  await until('the discovery of both', () => a.found.has(b.program.peerId.toString()) && b.found.has(a.program.peerId.toString()))
})

test('a kernel finds a program of js-libp2p on a custom topic, and is found', async () => {
  const { program, found } = await startProgram(fromDocument())
  const id = program.peerId.toString()
  const elsewhere = await startProgram(pubsubPeerDiscovery({ interval: 1000, topics: ['elsewhere'] }))
  const kernel = kernels.make({ bootstrapPeers: [relay.tcp], listen: [], discoveryTopics: [CUSTOM] })
  const seen: string[] = []
  kernel.getNetworkManager().addDiscoveryHandler(() => { throw new Error('on purpose') })
  kernel.getNetworkManager().addDiscoveryHandler(({ peerId }) => { seen.push(peerId) })
  await kernel.start()
  await until('the program to find the kernel', () => found.has(idOf(kernel)))
  await until('the kernel to find the program', () => seen.includes(id))
  const peer = await until('the program\'s address', () => {
    return kernel.getNetworkManager().getDiscoveredPeers().find(({ peerId, multiaddrs }) => peerId === id && multiaddrs.length > 0)
  })
  assert.equal(peer.topic, CUSTOM)
  assert.ok(peer.multiaddrs.every((address) => address.endsWith(`/p2p-circuit/p2p/${id}`)), peer.multiaddrs.join())
  const stored = await program.peerStore.get(peerIdFromString(idOf(kernel)))
  assert.ok(stored.addresses.some(({ multiaddr }) => multiaddr.toString().includes('/p2p-circuit')))
  // A program on another topic is not found: it has been there for longer than the one that was.
  assert.ok(!seen.includes(elsewhere.program.peerId.toString()))
  assert.ok(!elsewhere.found.has(idOf(kernel)))
})

test('kernels announce themselves on PeerCompute\'s topic by default', async () => {
  const { found, program } = await startProgram(pubsubPeerDiscovery({ interval: 1000, topics: [DISCOVERY_TOPIC] }))
  const kernel = kernels.make({ bootstrapPeers: [relay.tcp], listen: [], discoveryTopics: [DISCOVERY_TOPIC] })
  await kernel.start()
  await until('both to be found', () => found.has(idOf(kernel)) &&
    kernel.getNetworkManager().getDiscoveredPeers().some(({ peerId }) => peerId === program.peerId.toString()))
  await kernel.stop()
  assert.deepEqual(kernel.getNetworkManager().getDiscoveredPeers(), [])
})
