/** Tests that relays which cannot be used are reported early, with their reason. */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { after, test } from 'node:test'
import { Identity, PeerworkError, PeerworkNode } from '../../src/index.js'
import { startNetwork } from '../../src/net/libp2p.js'
import { closePages, launch, openPage } from '../support/browser.js'
import { Members } from '../support/members.js'
import { servePages } from '../support/pages.js'
import { Relay, isRust, ownLoopback } from '../support/relay.js'
import { until } from '../support/until.js'
import type { RequestListener } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import type { ErrorCode, JoinOptions } from '../../src/index.js'

const rust = { skip: isRust ? false : 'PEERWORK_BIN names no program' }
const TOKEN = 'sixteen-chars-xx'
/** An early error comes long before the deadline of `join`, also on a busy machine. */
const EARLY_MS = 5_000
const members = new Members()
const relays: Relay[] = []
const servers: Server[] = []

after(async () => {
  await members.leave()
  await Promise.all(relays.map(async (relay) => { await relay.remove() }))
  for (const server of servers) server.close()
})

async function startRelay (...args: string[]): Promise<Relay> {
  const relay = await Relay.start(args)
  relays.push(relay)
  return relay
}

async function serve (listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Joins, which must fail before the deadline, and returns the error. */
async function failsEarly (options: Omit<JoinOptions, 'room'>, code: ErrorCode): Promise<PeerworkError> {
  const began = Date.now()
  const error: unknown = await PeerworkNode.join({ room: 'errors', listen: [], timeoutMs: 30_000, ...options })
    .then(async (node) => { await node.leave() }, (thrown: unknown) => thrown)
  assert.ok(error instanceof PeerworkError, `no PeerworkError: ${String(error)}`)
  assert.equal(error.code, code, error.message)
  assert.equal(error.retryable, false, error.message)
  assert.ok(Date.now() - began < EARLY_MS, `it took ${Date.now() - began} ms: ${error.message}`)
  return error
}

async function otherPeerId (): Promise<string> {
  return (await Identity.generate()).peerId
}

const withId = (address: string, id: string): string => address.replace(/\/p2p\/.*/, `/p2p/${id}`)

test('a wrong relay id fails at once and names the id that the relay has', async () => {
  const relay = await startRelay()
  const wrong = await otherPeerId()
  for (const address of [relay.tcp, relay.webSocket]) {
    const error = await failsEarly({ relays: [withId(address, wrong)] }, 'relay-unreachable')
    assert.match(error.message, new RegExp(`has the id ${relay.id} and not ${wrong}`))
    assert.ok(error.message.includes(withId(address, '').replace(/\/p2p\/$/, '')), error.message)
  }
  // With another usable relay the join succeeds, and the status has the reason.
  const other = await startRelay()
  const node = await members.join({ relays: [withId(relay.tcp, wrong), other.tcp], room: 'errors', listen: [] })
  await until('the reason', () => node.relays.find(({ id }) => id === wrong)?.error?.includes(relay.id))
  assert.equal(node.relays.find(({ id }) => id === other.id)?.connected, true)
})

test('a page learns at once that a relay id is wrong', async () => {
  const relay = await startRelay()
  const [browser, pages] = [await launch(), await servePages()]
  try {
    const page = await openPage(browser, pages.url)
    const failure = await page.evaluate(async (address) => {
      const { PeerworkNode } = await import('/index.js' as string) as typeof import('../../src/index.js')
      const began = performance.now()
      try {
        await PeerworkNode.join({ relays: [address], room: 'errors', timeoutMs: 30_000 })
        return undefined
      } catch (error) {
        const { code, message } = error as PeerworkError
        return { code, message, ms: performance.now() - began }
      }
    }, withId(relay.webSocket, await otherPeerId()))
    assert.equal(failure?.code, 'relay-unreachable')
    assert.match(failure.message, new RegExp(`has the id ${relay.id} `))
    assert.ok(failure.ms < EARLY_MS, `${failure.ms} ms`)
  } finally {
    await closePages(browser)
    await browser.close()
    pages.close()
  }
})

test('a relay that changes its identity is reported while the node runs', async () => {
  const host = ownLoopback()
  const relay = await Relay.start([], host)
  relays.push(relay)
  const node = await members.join({ relays: [relay.tcp], room: 'errors', listen: [] })
  const [, port] = /\/tcp\/(\d+)/.exec(relay.tcp) ?? []
  await relay.remove()
  const successor = await Relay.start([], host, port)
  relays.push(successor)
  await until('the other id', () => node.relays[0]?.error?.includes(`has the id ${successor.id}`), 60_000)
  assert.equal(node.relays[0]?.connected, false)
})

test('a node that is no relay is unfit', async () => {
  const { privateKey } = await Identity.generate()
  const { libp2p } = await startNetwork({ privateKey, listen: ['/ip4/127.0.0.1/tcp/0'], iceServers: () => [], isRelay: () => false })
  try {
    const error = await failsEarly({ relays: libp2p.getMultiaddrs().map(String) }, 'relay-unfit')
    assert.match(error.message, /offers no circuits/)
  } finally {
    await libp2p.stop()
  }
})

test('a relay without gossip is unfit, and with a second relay the status has the reason', rust, async () => {
  const [silent, relay] = [await startRelay('--no-gossip'), await startRelay()]
  for (const address of [silent.tcp, silent.webSocket]) {
    assert.match((await failsEarly({ relays: [address] }, 'relay-unfit')).message, /forwards no gossip/)
  }
  const node = await members.join({ relays: [silent.tcp, relay.tcp], room: 'errors', listen: [] })
  await until('the reason', () => node.relays.find(({ id }) => id === silent.id)?.error?.includes('forwards no gossip'))
  assert.equal(node.relays.find(({ id }) => id === relay.id)?.error, undefined)
})

test('relays that are missing, no list, empty or no texts are refused with the form to give', async () => {
  for (const relays of [undefined, null, [], 'https://relay.example', {}, [1], [''], [undefined], Array(9).fill('https://a.example')]) {
    const error = await failsEarly({ relays: relays as string[] }, 'invalid-argument')
    assert.match(error.message, /relays (is missing|is no list|is empty|has no text at position 0|has 9 entries): give a list .*https:\/\/relay\.example/)
  }
})

test('URLs that are certainly wrong fail at once', async () => {
  const html = await serve((_, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>') })
  const missing = await serve((_, response) => { response.writeHead(404).end('nothing') })
  const empty = await serve((_, response) => { response.end('{"bootstrapPeers":[]}') })
  const other = await serve((_, response) => { response.end('{"peers":1}') })
  for (const [port, words] of [[html, 'no JSON'], [missing, 'the answer is 404'], [empty, 'names no relay'], [other, 'no list "bootstrapPeers"']] as const) {
    const error = await failsEarly({ relays: [`http://127.0.0.1:${port}`] }, 'relay-unreachable')
    assert.ok(error.message.includes(words) && error.message.includes(`:${port}/`), error.message)
  }
  const relay = await startRelay()
  const node = await members.join({ relays: [`http://127.0.0.1:${missing}`, relay.tcp], room: 'errors', listen: [] })
  assert.equal(node.relays[0]?.connected, true)
})

test('what may change is tried until the time-out, and the error says the cause', async () => {
  const closed = createTcpServer()
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
  const { port } = closed.address() as AddressInfo
  closed.close()
  const failing = await serve((_, response) => { response.writeHead(503).end() })
  const id = await otherPeerId()
  const cases: Array<[string, RegExp]> = [
    [`/ip4/127.0.0.1/tcp/${port}/p2p/${id}`, /ECONNREFUSED/],
    [`/dns4/no-such-host.invalid/tcp/1/p2p/${id}`, /no-such-host\.invalid/],
    [`http://127.0.0.1:${port}`, /ECONNREFUSED/],
    [`http://127.0.0.1:${failing}`, /the answer is 503/],
    [`/ip4/127.0.0.1/tcp/${failing}/ws/p2p/${id}`, /did not answer as a relay.*503/],
    [`/ip4/127.0.0.1/tcp/${failing}/p2p/${id}`, /did not answer as a relay/]
  ]
  for (const [relay, words] of cases) {
    await assert.rejects(PeerworkNode.join({ relays: [relay], room: 'errors', listen: [], timeoutMs: 2_000 }), (error: unknown) => {
      assert.ok(error instanceof PeerworkError && error.code === 'relay-unreachable' && error.retryable, String(error))
      assert.match(error.message, words)
      return true
    })
  }
})

test('the token of a relay for members only gives a reservation, and keeps it after a restart', rust, async () => {
  const host = ownLoopback()
  const relay = await Relay.start(['--token', TOKEN, '--token', 'another-token-of-it'], host)
  relays.push(relay)
  for (const token of [TOKEN, { [relay.id]: TOKEN }]) {
    for (const address of [relay.webSocket, relay.tcp]) {
      const node = await members.join({ relays: [address], token, room: 'token', listen: [] })
      assert.deepEqual(node.relays.map(({ reserved, error }) => [reserved, error]), [[true, undefined]])
    }
  }
  const node = await members.join({ relays: [relay.tcp], token: TOKEN, room: 'token', listen: [] })
  await relay.stop('SIGKILL')
  await until('the loss', () => node.relays[0]?.connected === false)
  await relay.start()
  await until('the reservation', () => node.relays[0]?.reserved)
})

test('a missing or wrong token fails at once, and one relay that accepts is enough', rust, async () => {
  const closed = await startRelay('--token', TOKEN)
  const missing = await failsEarly({ relays: [closed.tcp] }, 'relay-refused')
  assert.match(missing.message, /for members only: give its token/)
  const wrong = await failsEarly({ relays: [closed.tcp], token: 'not-the-token-of-it' }, 'relay-refused')
  assert.match(wrong.message, /does not know the token/)
  assert.ok(!wrong.message.includes('not-the-token-of-it'))
  const named = await startRelay('--allow', await otherPeerId())
  const stranger = await Identity.generate()
  const notAllowed = await failsEarly({ relays: [named.webSocket], identity: stranger }, 'relay-refused')
  assert.ok(notAllowed.message.includes(stranger.peerId), notAllowed.message)
  // The node of the list needs no token, and a wrong token does not matter to its relay.
  const listed = await Identity.generate()
  const both = await startRelay('--token', TOKEN, '--allow', listed.peerId)
  for (const token of [undefined, 'not-the-token-of-it']) {
    const node = await members.join({ relays: [both.tcp], identity: listed, room: 'listed', listen: [], ...token === undefined ? {} : { token } })
    assert.equal(node.relays[0]?.reserved, true)
    await node.leave()
  }
  // A relay that asks for no token is used, whatever the token.
  const open = await startRelay()
  const node = await members.join({ relays: [closed.tcp, open.tcp], token: 'not-the-token-of-it', room: 'errors', listen: [] })
  await until('the reason', () => node.relays.find(({ id }) => id === closed.id)?.error?.includes('does not know the token'))
  await until('the reservation', () => node.relays.find(({ id }) => id === open.id)?.reserved)
})
