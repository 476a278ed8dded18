import assert from 'node:assert/strict'
import '#transports'
import { getEventListeners } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { Identity, PeerworkError } from '../../src/index.js'
import { ADDRESS_CHARS_MAX } from '../../src/limits.js'
import { addressOf, isPeerId, isPrivateAddress, parseAddress, transportOf } from '../../src/net/addresses.js'
import { parseSources } from '../../src/net/relay-sources.js'
import { Relays } from '../../src/net/relays.js'
import { Backoff, wait, withDeadline } from '../../src/time.js'
import type { LinkNetwork } from '../../src/net/relay-link.js'

const [relay, peer] = await Promise.all([0, 1].map(async () => (await Identity.generate()).peerId)) as [string, string]
const invalid = (error: unknown): boolean => error instanceof PeerworkError && error.code === 'invalid-argument'

test('an address belongs to one transport', () => {
  const ways = {
    [`/ip4/1.2.3.4/tcp/5/p2p/${peer}`]: 'tcp',
    '/dns4/example.org/tcp/443/wss': 'web-socket',
    [`/ip6/::1/tcp/5/ws/p2p/${peer}`]: 'web-socket',
    '/dns4/example.org/tcp/443/tls/ws': 'web-socket',
    [`/ip4/1.2.3.4/tcp/5/ws/p2p/${relay}/p2p-circuit/p2p/${peer}`]: 'circuit',
    [`/ip4/1.2.3.4/tcp/5/ws/p2p/${relay}/p2p-circuit/webrtc/p2p/${peer}`]: 'web-rtc',
    '/ip4/1.2.3.4/udp/5/quic-v1': undefined
  }
  for (const [address, way] of Object.entries(ways)) assert.equal(transportOf(multiaddr(address)), way, address)
})

test('text that is no address, or too long, is none', () => {
  for (const text of ['', 'x', '/ip4/1.2.3', 1, null, `/dns4/${'x'.repeat(ADDRESS_CHARS_MAX)}/tcp/1`]) {
    assert.equal(parseAddress(text), undefined)
  }
})

test('an address of one node is not used for another', () => {
  const address = multiaddr('/ip4/1.2.3.4/tcp/5')
  assert.equal(addressOf(address, peer)?.toString(), `/ip4/1.2.3.4/tcp/5/p2p/${peer}`)
  assert.equal(addressOf(multiaddr(`${address}/p2p/${peer}`), peer)?.toString(), `/ip4/1.2.3.4/tcp/5/p2p/${peer}`)
  assert.equal(addressOf(multiaddr(`${address}/p2p/${relay}`), peer), undefined)
})

test('addresses of private networks are known as such', () => {
  for (const address of ['/ip4/127.0.0.1/tcp/1', '/ip4/192.168.1.1/tcp/1', '/ip4/10.0.0.1/tcp/1/ws', '/ip6/::1/tcp/1']) {
    assert.ok(isPrivateAddress(multiaddr(address)), address)
  }
  for (const address of ['/ip4/8.8.8.8/tcp/1', '/dns4/example.org/tcp/1']) {
    assert.ok(!isPrivateAddress(multiaddr(address)), address)
  }
})

test('relays are addresses with an id, or URLs', () => {
  const { fixed, urls } = parseSources([
    `/ip4/127.0.0.1/tcp/1/ws/p2p/${relay}`, `/ip4/127.0.0.1/tcp/2/p2p/${relay}/p2p/${relay}`,
    'https://relay.example', 'http://127.0.0.1:9090/base/', 'https://relay.example/some.json?x'
  ])
  assert.deepEqual(fixed.get(relay)?.map(String), [`/ip4/127.0.0.1/tcp/1/ws/p2p/${relay}`, `/ip4/127.0.0.1/tcp/2/p2p/${relay}`])
  assert.deepEqual(urls.map(String), ['https://relay.example/relay-config.json',
    'http://127.0.0.1:9090/base/relay-config.json', 'https://relay.example/some.json?x'])
  for (const wrong of [[], ['nonsense'], ['/ip4/127.0.0.1/tcp/1'], [`/ip4/127.0.0.1/udp/1/quic-v1/p2p/${relay}`], ['https://']]) {
    assert.throws(() => parseSources(wrong), invalid, String(wrong))
  }
})

test('peer ids are known as such', () => {
  assert.ok(isPeerId(peer))
  for (const wrong of ['', 'nobody', peer.slice(1), `${peer}0`, 1, null]) assert.ok(!isPeerId(wrong), String(wrong))
})

test('an exported identity is read again, and its file is for its owner only', async (t) => {
  const identity = await Identity.generate()
  assert.equal(Identity.import(`${identity.export()}\n`).peerId, identity.peerId)
  for (const wrong of ['', 'nonsense', '!!', identity.export().slice(4)]) assert.throws(() => Identity.import(wrong), invalid)
  const directory = await mkdtemp(join(tmpdir(), 'peerwork-identity-'))
  t.after(async () => { await rm(directory, { recursive: true }) })
  const path = join(directory, 'key')
  const stored = await Identity.stored(path)
  assert.equal((await Identity.stored(path)).peerId, stored.peerId)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  await writeFile(path, 'something else')
  await assert.rejects(Identity.stored(path), invalid)
})

test('pauses grow to a bound, each shortened by up to half', () => {
  const backoff = new Backoff({ minMs: 100, maxMs: 1000 })
  assert.deepEqual([1, 1, 1, 1, 1].map((random) => backoff.next(() => random)), [100, 200, 400, 800, 1000])
  backoff.reset()
  assert.equal(backoff.next(() => 0), 50)
})

test('a deadline ends work, and a caller\'s signal ends it with its own reason', async () => {
  const late = (): PeerworkError => new PeerworkError('timeout', 'late')
  let told: AbortSignal | undefined
  await assert.rejects(withDeadline({ ms: 5, late }, async (signal) => {
    told = signal
    await wait(60_000, signal)
  }), (error: PeerworkError) => error.code === 'timeout')
  assert.ok(told?.aborted)
  const own = new AbortController()
  const running = withDeadline({ ms: 60_000, late, signal: own.signal }, async (signal) => { await wait(60_000, signal) })
  own.abort(new Error('mine'))
  await assert.rejects(running, /mine/)
  assert.equal(await withDeadline({ ms: 60_000, late }, async () => 7), 7)
})

// Later versions have a WebSocket of their own; that of Node.js 22 tells no `close` after a failed dial.
if (process.version.startsWith('v20.')) {
  test('a WebSocket that fails without a listener for errors ends no process', async () => {
    const socket = new WebSocket('ws://127.0.0.1:9/')
    await new Promise((resolve) => { socket.addEventListener('close', resolve) })
  })
}

test('asking a URL again and again leaves no listeners behind', async () => {
  const nothing = (): void => {}
  const leaving = new AbortController()
  const relays = new Relays(parseSources(['http://127.0.0.1:1/']), { onConnected: nothing, onDisconnected: nothing, onPlacesChanged: nothing })
  relays.start({} as LinkNetwork, leaving.signal)
  const before = getEventListeners(leaving.signal, 'abort').length
  try {
    await assert.rejects(relays.anyConnected(500, leaving.signal), /asking http:/)
    assert.equal(getEventListeners(leaving.signal, 'abort').length, before)
  } finally {
    leaving.abort()
  }
})
