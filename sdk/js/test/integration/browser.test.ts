/** Tests the package in Chromium, in a page of the test without the examples. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, afterEach, before, test } from 'node:test'
import { App } from '../support/app.js'
import { closePages, launch, openPage } from '../support/browser.js'
import { FakeEdge } from '../support/fake-edge.js'
import { Members, sees } from '../support/members.js'
import { servePages } from '../support/pages.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { Browser, Page } from 'playwright-core'
import type { PeerworkNode } from '../../src/index.js'
import type { Pages } from '../support/pages.js'

/** The variable that the tests set in the page. */
declare global {

  var node: PeerworkNode
}

const members = new Members()
let browser: Browser
let relay: Relay
let pages: Pages
let app: App

before(async () => {
  [browser, relay, pages, app] = await Promise.all([launch(), Relay.start(), servePages(), App.start()])
})

afterEach(async () => {
  await closePages(browser)
  await members.leave()
})

after(async () => {
  await browser.close()
  pages.close()
  await app.stop()
  await relay.remove()
})

async function join (room: string, name: string): Promise<Page> {
  const page = await openPage(browser, pages.url)
  await page.evaluate(async ({ relay, room, name }) => {
    const script = '/index.js'
    const { PeerworkNode } = await import(script) as typeof import('../../src/index.js')
    globalThis.node = await PeerworkNode.join({ relays: [relay], room, name })
  }, { relay: relay.webSocket, room, name })
  return page
}

/** Lists all that the code of a page can change for other code: the properties of the global object, of its values and of their prototypes. */
async function globalsOf (page: Page): Promise<string[]> {
  return await page.evaluate(() => Reflect.ownKeys(globalThis).flatMap((name) => {
    const value = Reflect.get(globalThis, name) as unknown
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || value === globalThis) return [String(name)]
    const prototype: unknown = Object(Reflect.get(value, 'prototype') ?? {})
    const source = (holder: object, key: PropertyKey): string => {
      const { value, get, set } = Reflect.getOwnPropertyDescriptor(holder, key) ?? {}
      return [value, get, set].map((one) => typeof one === 'function' ? Function.prototype.toString.call(one) : typeof one).join()
    }
    return [value, prototype].flatMap((holder) => {
      return Reflect.ownKeys(holder as object).map((key) => `${String(name)} ${String(key)} ${source(holder as object, key)}`)
    })
  }))
}

// The build leaves out imports between the bundles that take nothing, and applications may leave out
// each bundle that they do not use. Both are safe only for bundles that do nothing but define.
test('no bundle changes a global object when it is loaded', async () => {
  const page = await openPage(browser, pages.url)
  const before = await globalsOf(page)
  assert.ok(before.length > 5_000)
  const names = (await readdir(new URL('../../browser', import.meta.url))).filter((name) => name.endsWith('.js') && name !== 'yjs.js')
  assert.ok(names.length > 5)
  await page.evaluate(async (names) => {
    for (const name of names) await import(`/${name}`)
  }, names)
  assert.deepEqual((await globalsOf(page)).filter((line) => !before.includes(line)), [])
  assert.equal((await globalsOf(page)).length, before.length)
})

test('a page calls an app behind an edge, over a connection that the relay cannot read', async () => {
  const edge = await FakeEdge.start({ relay: relay.tcp, ports: [app.port] })
  try {
    const page = await join('fetch', 'page')
    const result = await page.evaluate(async (base) => {
      const echo = await node.fetch(`${base}/echo`, { method: 'POST', body: new Blob(['hello']) })
      const gzip = await node.fetch(`${base}/gzip`)
      const form = new FormData()
      form.set('a', 'b')
      const posted = await node.fetch(`${base}/echo`, { method: 'POST', body: form })
      const large = await node.fetch(`${base}/large?bytes=4000000`)
      let bytes = 0
      for (let reader = large.body?.getReader(); ;) {
        const part = await reader?.read()
        if (part?.done !== false) break
        bytes += part.value.byteLength
      }
      const failed = await node.fetch(`${base.replace(/\d+$/, '1')}/`).catch((error: Error & { code: string }) => error.code)
      return {
        status: echo.status, echo: (await echo.json() as { body: string }).body, gzip: await gzip.text(),
        form: (await posted.json() as { body: string }).body, bytes, failed
      }
    }, `peerwork://${edge.id}/${app.port}`)
    assert.deepEqual({ ...result, form: '' }, {
      status: 201, echo: 'hello', gzip: 'squeezed', form: '', bytes: 4_000_000, failed: 'port-not-allowed'
    })
    assert.match(result.form, /name="a"\r\n\r\nb\r\n/)
  } finally {
    await edge.stop()
  }
})

test('a page and a program are in one room and send to each other', async () => {
  const page = await join('mixed', 'page')
  const program = await members.join({ relays: [relay.tcp], room: 'mixed', name: 'program' })
  const id = await page.evaluate(() => node.peerId)
  await sees(program, id, 'relayed')
  const got: unknown[] = []
  program.onMessage(({ data }) => { got.push(data) })
  await page.evaluate(() => {
    node.onMessage(({ from, data }) => { void node.send(from, { answer: String(data) }) })
  })
  await program.send(id, 'question')
  await until('the answer', () => got.length > 0)
  assert.deepEqual(got, [{ answer: 'question' }])
})

test('two pages speak directly, and a message of 2 MiB passes over WebRTC', async () => {
  const [one, two] = [await join('direct', 'one'), await join('direct', 'two')]
  await two.evaluate(() => {
    node.onMessage(({ from, data }) => { void node.send(from, (data as string).length) })
  })
  const length = await one.evaluate(async () => {
    const peer = await new Promise<string>((resolve) => {
      const look = (): void => {
        const direct = node.peers.find(({ connection }) => connection === 'direct')
        if (direct !== undefined) resolve(direct.id)
      }
      node.on('peer:update', look)
      look()
    })
    const answer = new Promise((resolve) => { node.onMessage(({ data }) => { resolve(data) }) })
    await node.send(peer, 'x'.repeat(2 * 1024 * 1024))
    return await answer
  })
  assert.equal(length, 2 * 1024 * 1024)
})

test('pages compute for a program under a strict policy, and a task reaches no network', async () => {
  const computing = await Promise.all(['one', 'two'].map(async (name) => await join('compute', name)))
  await Promise.all(computing.map(async (page) => { await page.evaluate(() => { node.compute.offer({ workers: 2 }) }) }))
  const program = await members.join({ relays: [relay.tcp], room: 'compute', name: 'program' })
  await until('the offers', () => program.peers.filter(({ workers }) => workers > 0).length === 2)
  const { value, reports } = await program.compute.run(
    '({ n }) => { let [a, b] = [0n, 1n]; for (let i = 0; i < n; i += 1) [a, b] = [b, a + b]; return String(a) }',
    { n: 300 }, { redundancy: 2, until: 'all' })
  assert.equal(value, '222232244629420445529739893461909967206666939096499764990979600')
  assert.deepEqual(reports.map(({ outcome }) => outcome), ['agreed', 'agreed'])
  const elsewhere = await servePages()
  const found = await program.compute.run(`async () => [
    typeof fetch, typeof XMLHttpRequest, typeof WebSocket, typeof indexedDB, typeof importScripts,
    typeof document, typeof localStorage, typeof Worker, typeof BroadcastChannel,
    await import('${elsewhere.url}leak.js').then(() => 'imported', () => 'not imported')
  ]`, null, { redundancy: 2 })
  assert.deepEqual(found.value, [...new Array(9).fill('undefined'), 'not imported'])
  elsewhere.close()
  assert.deepEqual(elsewhere.asked, [])
  await assert.rejects(program.compute.run('() => { for (;;); }', null, { redundancy: 2, timeoutMs: 500 }), /timeout/)
  assert.equal((await program.compute.run('() => 7', null, { redundancy: 2 })).value, 7)
})

test('pages of one origin are different peers, and a page that is reloaded is the same one', async () => {
  const context = await browser.newContext()
  const identity = async (page: Page): Promise<string> => await page.evaluate(async () => {
    const script = '/index.js'
    const { Identity } = await import(script) as typeof import('../../src/index.js')
    return (await Identity.stored('test')).peerId
  })
  const [first, second] = [await context.newPage(), await context.newPage()]
  for (const page of [first, second]) await page.goto(pages.url)
  const ids = [await identity(first), await identity(second)]
  assert.notEqual(ids[0], ids[1])
  await first.reload()
  assert.equal(await identity(first), ids[0])
  await context.close()
})

test('a page that is closed is gone for the others soon', async () => {
  const [stays, goes] = [await join('closing', 'stays'), await join('closing', 'goes')]
  const gone = stays.evaluate(async () => {
    await new Promise<void>((resolve) => {
      if (node.peers.length > 0) resolve()
      else node.on('peer:join', () => { resolve() })
    })
    await new Promise((resolve) => { node.on('peer:leave', resolve) })
    return node.peers.length
  })
  await stays.waitForFunction(() => node.peers.length === 1)
  await goes.close()
  assert.equal(await gone, 0)
})
