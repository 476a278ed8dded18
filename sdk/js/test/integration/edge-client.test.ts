/** Tests `peerwork/fetch`: a node that only calls apps behind edges, in Node.js and in Chromium. */

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { EdgeClient, PeerworkError } from '../../src/entry/fetch.js'
import { App } from '../support/app.js'
import { closePages, launch, openPage } from '../support/browser.js'
import { FakeEdge } from '../support/fake-edge.js'
import { servePages } from '../support/pages.js'
import { Relay, isRust, ownLoopback } from '../support/relay.js'
import { SecretNetwork } from '../support/secret-network.js'
import { until } from '../support/until.js'
import type { Browser } from 'playwright-core'
import type { EdgeClientOptions } from '../../src/entry/fetch.js'
import type { Pages } from '../support/pages.js'

const rust = { skip: isRust ? false : 'PEERWORK_BIN names no program' }
const clients: EdgeClient[] = []
let browser: Browser
let relay: Relay
let pages: Pages
let app: App
let edge: FakeEdge

before(async () => {
  [browser, relay, pages, app] = await Promise.all([launch(), Relay.start(), servePages(), App.start()])
  edge = await FakeEdge.start({ relay: relay.tcp, ports: [app.port] })
})
afterEach(async () => {
  await closePages(browser)
  await Promise.all(clients.splice(0).map(async (client) => { await client.close() }))
})
after(async () => {
  await browser.close()
  pages.close()
  await edge.stop()
  await app.stop()
  await relay.remove()
})

/** Connects a client, long before its time is over. */
async function connect (options: EdgeClientOptions): Promise<EdgeClient> {
  let result: { client: EdgeClient } | { error: unknown } | undefined
  EdgeClient.connect({ timeoutMs: 600_000, ...options })
    .then((client) => { result = { client } }, (error: unknown) => { result = { error } })
  const ended = await until('the client to be connected', () => result)
  if ('error' in ended) throw ended.error
  clients.push(ended.client)
  return ended.client
}

const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted

test('a client calls an app without a room, and takes no reservation at the relay', async () => {
  const client = await connect({ relays: [relay.webSocket] })
  const response = await client.fetch(`peerwork://${edge.id}/${app.port}/echo`, { method: 'POST', body: 'hello' })
  assert.equal(response.status, 201)
  assert.equal((await response.json() as { body: string }).body, 'hello')
  assert.deepEqual(client.relays.map(({ id, connected, reserved }) => ({ id, connected, reserved })),
    [{ id: relay.id, connected: true, reserved: false }])
  await assert.rejects(client.fetch(`peerwork://${edge.id}/1/`), code('port-not-allowed'))
  await client.close()
  await client.close()
  await assert.rejects(client.fetch(`peerwork://${edge.id}/${app.port}/echo`), code('left'))
})

test('a client connects again to a relay that restarts', async () => {
  const own = await Relay.start([], ownLoopback())
  try {
    const client = await connect({ relays: [own.webSocket] })
    await own.stop('SIGKILL')
    await until('the loss', () => client.relays.every(({ connected }) => !connected))
    await assert.rejects(client.fetch(`peerwork://${edge.id}/${app.port}/echo`), code('relay-unreachable'))
    await own.start()
    await until('the relay', () => client.relays.some(({ connected }) => connected))
  } finally {
    await own.remove()
  }
})

test('options out of order and relays that are away fail with their code', async () => {
  await assert.rejects(connect({ relays: [] }), code('invalid-argument'))
  await assert.rejects(connect({ relays: [relay.webSocket], secrets: ['pws_x'] }), code('invalid-argument'))
  await assert.rejects(connect({ relays: [`/ip4/127.0.0.1/tcp/9/ws/p2p/${relay.id}`], timeoutMs: 500 }), code('relay-unreachable'))
})

test('a client proves the secret of its network, by secrets or by a ticket', rust, async () => {
  const network = await SecretNetwork.create()
  try {
    const closed = await network.startRelay()
    await assert.rejects(connect({ relays: [closed.webSocket] }), code('not-a-member'))
    const members = [
      await connect({ relays: [closed.webSocket], ...network.options }),
      await connect({ relays: [closed.webSocket], ticket: closed.invite() })
    ]
    for (const client of members) assert.ok(client.relays.some(({ connected }) => connected))
  } finally {
    await network.remove()
  }
})

/** Calls the app from a page; returns the response and the scripts that the page asked for. */
async function callFromPage (address: string): Promise<{ body: string, scripts: string[] }> {
  const page = await openPage(browser, pages.url)
  pages.asked.length = 0
  const body = await page.evaluate(async ({ address, url }) => {
    const script = '/fetch.js'
    const { EdgeClient } = await import(script) as typeof import('../../src/entry/fetch.js')
    const client = await EdgeClient.connect({ relays: [address] })
    const response = await client.fetch(url, { method: 'POST', body: 'from a page' })
    const { body } = await response.json() as { body: string }
    await client.close()
    return body
  }, { address, url: `peerwork://${edge.id}/${app.port}/echo` })
  return { body, scripts: pages.asked.filter((path) => path.endsWith('.js')) }
}

test('a page calls an app without loading the code of WebRTC', async () => {
  const { body, scripts } = await callFromPage(relay.webSocket)
  assert.equal(body, 'from a page')
  assert.ok(scripts.includes('/fetch.js'))
  assert.deepEqual(scripts.filter((path) => path.startsWith('/src-')), [])
})

test('a page loads the code of WebRTC for a relay that has no other address', rust, async () => {
  const direct = await Relay.start(['--webrtc', '127.0.0.1:0'])
  const own = await FakeEdge.start({ relay: direct.tcp, ports: [app.port] })
  try {
    const address = await until('the address', () => {
      return [...direct.output.matchAll(/(\/ip4\/\S+\/webrtc-direct\/\S+)/g)].map(([found]) => found).at(0)
    })
    const [shared] = [edge]
    edge = own
    try {
      const { body, scripts } = await callFromPage(address)
      assert.equal(body, 'from a page')
      assert.equal(scripts.filter((path) => path.startsWith('/src-')).length, 1)
    } finally {
      edge = shared
    }
  } finally {
    await own.stop()
    await direct.remove()
  }
})
