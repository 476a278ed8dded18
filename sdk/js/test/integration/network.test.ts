/** Tests networks with a secret, at relays of the Rust program. */

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { Identity, NetworkSecret, PeerworkError, redeemTicket } from '../../src/index.js'
import { closePages, launch, openPage } from '../support/browser.js'
import { Members, allSee, sees } from '../support/members.js'
import { servePages } from '../support/pages.js'
import { Relay, isRust } from '../support/relay.js'
import { SecretNetwork } from '../support/secret-network.js'
import { until } from '../support/until.js'
import type { Browser, Page } from 'playwright-core'
import type { JoinOptions } from '../../src/index.js'
import type { Pages } from '../support/pages.js'

const skip = { skip: isRust ? false : 'PEERWORK_BIN names no program' }
const members = new Members()
let network: SecretNetwork
let relay: Relay
let browser: Browser
let pages: Pages

before(async () => {
  if (!isRust) return
  network = await SecretNetwork.create();
  [relay, browser, pages] = await Promise.all([network.startRelay(), launch(), servePages()])
})

afterEach(async () => {
  if (!isRust) return
  await closePages(browser)
  await members.leave()
})

after(async () => {
  if (!isRust) return
  await browser.close()
  pages.close()
  await network.remove()
})

function options (room: string, name: string): JoinOptions {
  return { ...network.options, relays: [relay.webSocket], room, name, listen: [] }
}

test('nodes with the secret reserve, find each other and talk through the relay', skip, async () => {
  const [a, b] = [await members.join(options('talk', 'a')), await members.join({ ...options('talk', 'b'), relays: [relay.tcp] })]
  assert.deepEqual([a, b].flatMap(({ relays }) => relays.map(({ connected, reserved }) => [connected, reserved])),
    [[true, true], [true, true]])
  await allSee([a, b], 'relayed')
  const got: unknown[] = []
  b.subscribe('news', ({ from, data }) => { got.push([from, data]) })
  b.onMessage(({ from, data }) => { got.push([from, data]) })
  await until('the news', async () => {
    await a.publish('news', 'gossip')
    return got.length > 0
  })
  assert.deepEqual(got[0], [a.peerId, 'gossip'])
  await a.send(b.peerId, 'over a circuit')
  assert.deepEqual(got.at(-1), [a.peerId, 'over a circuit'])
})

test('a node without the secret, or with another one, gets an error in words and nothing else', skip, async () => {
  const member = await members.join(options('closed', 'member'))
  const strangers: Array<[Partial<JoinOptions>, RegExp]> = [
    [{ secrets: [] }, /has a secret that this node does not know: join with a ticket/],
    [{ secrets: [NetworkSecret.generate().toText()] }, /knows another secret/],
    // The secret is of no use under another id, which the proof contains.
    [{ networkId: BigInt(network.id) - 1n }, /knows another secret/]
  ]
  for (const [changed, reason] of strangers) {
    const started = Date.now()
    await assert.rejects(members.join({ ...options('closed', 'stranger'), ...changed }), (error: unknown) => {
      assert.ok(error instanceof PeerworkError && error.code === 'not-a-member' && !error.retryable, String(error))
      assert.match(error.message, reason)
      assert.ok(error.message.includes(relay.id))
      return true
    })
    assert.ok(Date.now() - started < 10_000, 'the refusal comes before the deadline')
  }
  const events: string[] = []
  const stranger = await members.join({ ...options('closed', 'stranger'), secrets: [], timeoutMs: 0 })
  stranger.on('relay:connected', () => { events.push('connected') })
  stranger.on('peer:join', () => { events.push('joined') })
  const refused: string[] = []
  stranger.on('peer:refused', ({ id, reason }) => {
    assert.match(reason, /secret/)
    refused.push(id)
  })
  await until('two refusals', () => refused.length >= 2)
  assert.deepEqual([events, stranger.peers, stranger.relays[0]?.connected], [[], [], false])
  assert.match(stranger.relays[0]?.error ?? '', /has a secret that this node does not know/)
  assert.deepEqual([new Set(refused), member.peers], [new Set([relay.id]), []])
})

test('a node with a secret uses no relay of a network without one', skip, async () => {
  const open = await Relay.start()
  try {
    await assert.rejects(members.join({ ...options('open', 'a'), relays: [open.tcp] }), /does not know the secret of this network/)
  } finally {
    await open.remove()
  }
})

test('a node with the older of two secrets joins', skip, async () => {
  const changing = await SecretNetwork.create(2)
  try {
    const { webSocket } = await changing.startRelay()
    const { networkId, secrets: [newer = '', older = ''] } = changing.options
    const both = [newer, older].map(async (secret, at) => await members.join({
      relays: [webSocket], room: 'changing', networkId, secrets: at === 0 ? [secret] : [older, newer], name: `n${at}`, listen: []
    }))
    await allSee(await Promise.all(both), 'relayed')
    const late = await members.join({ relays: [webSocket], room: 'late', networkId, secrets: [older], listen: [] })
    assert.equal(late.relays[0]?.reserved, true)
  } finally {
    await members.leave()
    await changing.remove()
  }
})

test('a ticket of the relay lets a node in without any other option', skip, async () => {
  const text = relay.invite()
  const invited = await members.join({ ticket: `Join us: <b>${text}</b>!`, room: 'ticket', name: 'invited', listen: [] })
  const member = await members.join(options('ticket', 'member'))
  await allSee([invited, member], 'relayed')
})

test('a ticket that is valid once is redeemed by one identity alone', skip, async () => {
  const [first, second] = [await Identity.generate(), await Identity.generate()]
  const text = relay.invite('--once', '--expires', '1h')
  await assert.rejects(members.join({ ticket: text, room: 'once' }), /exchange it by redeemTicket/)
  const access = await redeemTicket(text, { identity: first })
  assert.deepEqual([access.networkId, access.networkName, access.secrets], [network.id, 'test', network.options.secrets])
  await assert.rejects(redeemTicket(text, { identity: second }), (error: unknown) => {
    return error instanceof PeerworkError && error.code === 'ticket-refused' && /used by another node/.test(error.message)
  })
  assert.deepEqual(await redeemTicket(text, { identity: first }), access)
  const node = await members.join({ ...access, identity: first, room: 'once', listen: [] })
  assert.equal(node.relays[0]?.reserved, true)
})

test('a page redeems a ticket and joins', skip, async () => {
  const page = await openPage(browser, pages.url)
  const relays = await page.evaluate(async ({ text, relay }) => {
    const script = '/index.js'
    const { Identity, PeerworkNode, redeemTicket } = await import(script) as typeof import('../../src/index.js')
    const identity = await Identity.generate()
    const access = await redeemTicket(text, { identity, relays: [relay] })
    const node = await PeerworkNode.join({ ...access, identity, room: 'redeemed' })
    return node.relays.map(({ reserved }) => reserved)
  }, { text: relay.invite('--once'), relay: relay.webSocket })
  assert.deepEqual(relays, [true])
})

test('pages with the secret prove it on WebRTC too, and speak directly', skip, async () => {
  const open = async (name: string): Promise<Page> => {
    const page = await openPage(browser, pages.url)
    await page.evaluate(async (options) => {
      const script = '/index.js'
      const { PeerworkNode } = await import(script) as typeof import('../../src/index.js')
      globalThis.node = await PeerworkNode.join(options)
      node.onMessage(({ from, data }) => {
        if (data === 'question') void node.send(from, 'answer')
      })
    }, { ...network.options, relays: [relay.webSocket], room: 'direct', name })
    return page
  }
  const [one] = [await open('one'), await open('two')]
  await one.waitForFunction(() => node.peers.some(({ connection }) => connection === 'direct'))
  const answer = await one.evaluate(async () => {
    const answer = new Promise((resolve) => { node.onMessage(({ data }) => { resolve(data) }) })
    await node.send(node.peers[0]?.id ?? '', 'question')
    return await answer
  })
  assert.equal(answer, 'answer')
})

test('a page with the secret joins, and talks with a program', skip, async () => {
  const program = await members.join(options('page', 'program'))
  const page = await openPage(browser, pages.url)
  const id = await page.evaluate(async (options) => {
    const script = '/index.js'
    const { PeerworkNode } = await import(script) as typeof import('../../src/index.js')
    globalThis.node = await PeerworkNode.join(options)
    node.onMessage(({ from, data }) => { void node.send(from, { answer: String(data) }) })
    return node.peerId
  }, { ...network.options, relays: [relay.webSocket], room: 'page', name: 'page' })
  await sees(program, id, 'relayed')
  const got: unknown[] = []
  program.onMessage(({ data }) => { got.push(data) })
  await program.send(id, 'question')
  await until('the answer', () => got.length > 0)
  assert.deepEqual(got, [{ answer: 'question' }])
})
