/** Tests `peerwork/peercompute` in Chromium, under the policy that the README advises. */

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { Identity } from '../../src/index.js'
import { NodeKernel } from '../../src/peercompute/index.js'
import { closePages, launch, openPage } from '../support/browser.js'
import { snippets } from '../support/kernel-snippets.js'
import { Kernels, idOf } from '../support/kernels.js'
import { servePages } from '../support/pages.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { Browser, Page } from 'playwright-core'
import type { Pages } from '../support/pages.js'

declare global {

  var kernel: NodeKernel
  var heard: unknown[]
}

const kernels = new Kernels()
let browser: Browser
let relay: Relay
let pages: Pages

before(async () => { [browser, relay, pages] = await Promise.all([launch(), Relay.start(), servePages()]) })

afterEach(async () => {
  await closePages(browser)
  await kernels.stop()
})

after(async () => {
  await browser.close()
  pages.close()
  await relay.remove()
})

/** Runs a program that defines `node` in a page, and starts the node. */
async function run (page: Page, program: string): Promise<string> {
  return await page.evaluate<string>(`(async () => {
    const { NodeKernel } = await import('/peercompute.js')
    ${program}
    globalThis.kernel = node
    globalThis.heard = []
    node.getNetworkManager().addMessageHandler((peer, message) => { heard.push([peer, message]) })
    await node.initialize()
    await node.start()
    return node.getStatus().network.peerId
  })()`)
}

async function meets (page: Page, id: string, connection?: string): Promise<void> {
  await page.waitForFunction(([id, connection]) => kernel.getNetworkManager().getConnectedPeers()
    .some((peer) => peer.peerId === id && (connection === undefined || peer.connection === connection)), [id, connection])
}

test('the programs of the document, in a page and in Node.js, meet', async (t) => {
  const page = await openPage(browser, pages.url)
  const pageId = await run(page, snippets.page(relay.webSocket))
  const make = new Function('NodeKernel', `${snippets.program(relay.tcp)}; return node`) as (kernel: typeof NodeKernel) => NodeKernel
  const node = make(NodeKernel)
  t.after(async () => { await node.stop() })
  await node.initialize()
  await node.start()
  await meets(page, idOf(node))
  await until('the program to see the page', () => node.getNetworkManager().getConnectedPeers().some(({ peerId }) => peerId === pageId))

  const got: unknown[] = []
  node.getNetworkManager().addMessageHandler((peer, message) => { got.push([peer, message]) })
  await page.evaluate(async (id) => { await kernel.getNetworkManager().sendToPeer(id, { type: 'hello' }) }, idOf(node))
  assert.deepEqual(got, [[pageId, { type: 'hello' }]])
  await node.getNetworkManager().sendToPeer(pageId, 'back')
  assert.deepEqual(await page.evaluate(() => heard), [[idOf(node), 'back']])

  node.getStateManager().write('from', 'program')
  await page.waitForFunction(() => kernel.getStateManager().read('from') === 'program')
  await page.evaluate(() => { kernel.getStateManager().writeScoped('game', 'from', 'page') })
  await until('the page\'s value', () => node.getStateManager().readScoped('game', 'from') === 'page')
})

test('pages with several relays, of which one runs, are connected directly', async () => {
  const others = await Promise.all([Identity.generate(), Identity.generate()])
  const list = snippets.several(relay.webSocket, others.map(({ peerId }) => peerId) as [string, string])
  const program = `const node = new NodeKernel({ gameId: 'several', discoveryTopics: [], ${list} })`
  const [one, two] = await Promise.all([openPage(browser, pages.url), openPage(browser, pages.url)])
  const ids = await Promise.all([run(one, program), run(two, program)])
  await Promise.all([meets(one, ids[1], 'direct'), meets(two, ids[0], 'direct')])
})

test('a page without relays looks for relay-config.json, and says so when there is none', async () => {
  const program = 'const node = new NodeKernel({ gameId: \'config\', bootstrapPeers: null })'
  const page = await openPage(browser, pages.url)
  await assert.rejects(run(page, program), /relay-config\.json/)
  assert.deepEqual(pages.asked.filter((path) => path.endsWith('.json')),
    ['/relay-config.json', '/.relay-config.json', '/relay-config.json', '/.relay-config.json'])
  await page.route('**/.relay-config.json', async (route) => {
    await route.fulfill({ json: { bootstrapPeers: [relay.tcp, relay.webSocket] } })
  })
  assert.match(await run(page, program), /^12D3/)
  assert.equal(await page.evaluate(() => kernel.getStatus().network.isConnected), true)
})

test('a page runs tasks in threads of its own, and on a program that offers it', async () => {
  const page = await openPage(browser, pages.url)
  const options = `gameId: 'tasks', discoveryTopics: []`
  await run(page, `const node = new NodeKernel({ ${options}, bootstrapPeers: ['${relay.webSocket}'] })`)
  assert.equal(await page.evaluate(async () => await kernel.submitTask({ data: { n: 6 }, fn: ({ n }: { n: number }) => n * 7 })), 42)
  assert.equal(await page.evaluate(async () => {
    return await kernel.submitTask({ module: '/compute.js', exportName: 'canonicalJson', data: { b: 1, a: 2 } })
  }), '{"a":2,"b":1}')

  const helper = await kernels.start({ gameId: 'tasks', bootstrapPeers: [relay.tcp], offerCompute: { workers: 1 } })
  await meets(page, idOf(helper))
  await page.waitForFunction(() => kernel.node?.peers.some(({ workers }) => workers === 1))
  const results = await page.evaluate(async (id) => {
    const manager = kernel.getComputeManager()
    return [
      await manager.submitTask({ data: 20, fn: (n: number) => n + 1, redundancy: 1 }),
      await manager.distributeTask({ data: 30, fn: (n: number) => n + 1 }, [id])
    ]
  }, idOf(helper))
  assert.deepEqual(results, [21, [31]])
})

test('the state of a page outlives a reload', async () => {
  const program = `const node = new NodeKernel({ gameId: 'stored', discoveryTopics: [], bootstrapPeers: ['${relay.webSocket}'] })`
  const page = await openPage(browser, pages.url)
  await run(page, program)
  assert.equal(await page.evaluate(() => kernel.getStatus().state.hasPersistence), true)
  await page.evaluate(async () => {
    await kernel.getStateManager().synchronize()
    kernel.getStateManager().writeScoped('game', 'score', 7)
    const state = kernel.node?.state('peercompute-state') as unknown as { saved: () => Promise<void> }
    await state.saved()
  })
  await page.reload()
  await run(page, program)
  await page.waitForFunction(() => kernel.getStateManager().readScoped('game', 'score') === 7)
})
