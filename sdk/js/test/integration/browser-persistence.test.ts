/** Tests stored states in Chromium: reloads, two tabs on one database, deletion, and a full quota. */

import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { closePages, launch, openPage } from '../support/browser.js'
import { Members } from '../support/members.js'
import { servePages } from '../support/pages.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { Browser, Page } from 'playwright-core'
import type { Json, PeerworkNode, SharedState } from '../../src/index.js'
import type { Pages } from '../support/pages.js'

/** The variables that the tests set in the page. */
declare global {
  var node: PeerworkNode
  var stored: SharedState<Json>
  var unsaved: string[]
}

const members = new Members()
let browser: Browser
let relay: Relay
let pages: Pages

before(async () => { [browser, relay, pages] = await Promise.all([launch(), Relay.start(), servePages()]) })
afterEach(async () => {
  await closePages(browser)
  await members.leave()
})
after(async () => {
  await browser.close()
  pages.close()
  await relay.remove()
})

/** Joins in a page; without a relay the page is offline. */
async function join (page: Page, room: string, relays: string[], merge = false): Promise<void> {
  await page.evaluate(async ({ room, relays, merge }) => {
    const script = '/index.js'
    const { Identity, PeerworkNode } = await import(script) as typeof import('../../src/index.js')
    globalThis.unsaved = []
    globalThis.node = await PeerworkNode.join({
      relays, room, persist: 'test', timeoutMs: 0, identity: await Identity.stored('test')
    })
    node.on('state:unsaved', ({ name, reason }) => { unsaved.push(`${name}: ${reason}`) })
    globalThis.stored = node.state<Json>('s', merge ? { merge: (a, b) => [...new Set([a, b].flat())].sort() as Json } : {})
    await stored.ready
  }, { room, relays, merge })
}

const offline = (): string[] => [`/ip4/127.0.0.1/tcp/9/ws/p2p/${relay.id}`]
const content = async (page: Page): Promise<Record<string, Json>> => await page.evaluate(() => stored.toObject())

test('the only tab keeps its state when it is reloaded, deletions included', async () => {
  const page = await openPage(browser, pages.url)
  await join(page, 'reload', offline())
  await page.evaluate(async () => {
    stored.set('k', { deep: ['ö'] })
    stored.set('gone', 1)
    await stored.saved()
    stored.delete('gone')
    stored.set('last', 'written right before')
    await stored.saved()
  })
  await page.reload()
  await join(page, 'reload', offline())
  assert.deepEqual(await content(page), { k: { deep: ['ö'] }, last: 'written right before' })
  const older = await page.evaluate(() => {
    stored.replica.take([{ key: 'gone', value: 'older', clock: 1, author: node.peerId }])
    return stored.get('gone')
  })
  assert.equal(older, undefined)
  await join(page, 'another room', offline())
  assert.deepEqual(await content(page), {})
})

test('two tabs that write at once lose nothing, with and without merge', async () => {
  for (const merge of [false, true]) {
    const context = await browser.newContext()
    const open = async (): Promise<Page> => {
      const page = await context.newPage()
      await page.goto(pages.url)
      await join(page, 'tabs', offline(), merge)
      return page
    }
    const tabs = [await open(), await open()]
    await Promise.all(tabs.map(async (page, tab) => {
      await page.evaluate(async (tab) => {
        for (let at = 0; at < 200; at += 1) {
          stored.set(`tab ${tab} key ${at % 50}`, [`value ${at}`])
          stored.set('both', [`tab ${tab} at ${at}`])
          if (at % 20 === 0) await stored.saved()
        }
        if (tab === 1) stored.set('later', ['tab 1'])
        await stored.saved()
      }, tab)
    }))
    await Promise.all(tabs.map(async (page) => { await page.close() }))
    const again = [await open(), await open()]
    const [one, two] = [await content(again[0] as Page), await content(again[1] as Page)]
    assert.deepEqual(one, two)
    assert.equal(Object.keys(one).length, 102)
    assert.deepEqual(one['later'], ['tab 1'])
    for (const tab of [0, 1]) {
      const last = one[`tab ${tab} key 49`] as string[]
      assert.ok(last.includes('value 199'))
      if (merge) assert.ok((one['both'] as string[]).includes(`tab ${tab} at 199`))
    }
    await context.close()
  }
})

test('an older write of one tab does not replace a newer one of another', async () => {
  const context = await browser.newContext()
  const [one, two] = [await context.newPage(), await context.newPage()]
  for (const page of [one, two]) {
    await page.goto(pages.url)
    await join(page, 'newer', offline())
  }
  await one.evaluate(async () => {
    for (let at = 0; at < 5; at += 1) stored.set('k', `newer ${at}`)
    await stored.saved()
  })
  await two.evaluate(async () => {
    stored.set('k', 'older')
    await stored.saved()
  })
  await two.reload()
  await join(two, 'newer', offline())
  assert.deepEqual(await content(two), { k: 'newer 4' })
  await context.close()
})

test('an edit made offline reaches the others after a reload', async () => {
  const page = await openPage(browser, pages.url)
  await join(page, 'later', offline())
  await page.evaluate(async () => {
    stored.set('k', 'written offline')
    await stored.saved()
  })
  const program = await members.join({ relays: [relay.tcp], room: 'later' })
  const there = program.state('s')
  await page.reload()
  await join(page, 'later', [relay.webSocket])
  await until('the edit', () => there.get('k') === 'written offline')
})

test('a full quota rejects saved(), is told once, and the node goes on', async () => {
  const page = await openPage(browser, pages.url)
  const session = await page.context().newCDPSession(page)
  const { origin } = new URL(pages.url)
  // Chromium remembers for a while how much room there was, so the quota is small from the beginning.
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1 })
  await join(page, 'quota', offline())
  const code = await page.evaluate(async () => {
    stored.set('large', 'x'.repeat(60_000))
    const failed = async (): Promise<string> => await stored.saved().then(() => 'saved', (error: { code: string }) => error.code)
    return [await failed(), await failed()]
  })
  assert.deepEqual(code, ['storage-failed', 'storage-failed'])
  assert.equal(await page.evaluate(() => (stored.get('large') as string).length), 60_000)
  const told = await page.evaluate(() => unsaved)
  assert.equal(told.length, 1)
  assert.match(told[0] ?? '', /^s: .*[Qq]uota/)
  await session.send('Storage.overrideQuotaForOrigin', { origin })
  await page.evaluate(async () => { await stored.saved() })
  await page.reload()
  await join(page, 'quota', offline())
  assert.deepEqual(Object.keys(await content(page)), ['large'])
})

test('a page without IndexedDB goes on in memory and says so', async () => {
  const page = await openPage(browser, pages.url)
  await page.evaluate(() => { Object.defineProperty(globalThis, 'indexedDB', { value: undefined }) })
  await join(page, 'private', offline())
  const result = await page.evaluate(async () => {
    stored.set('k', 1)
    return await stored.saved().then(() => 'saved', (error: { code: string }) => error.code)
  })
  assert.equal(result, 'storage-failed')
  assert.equal(await page.evaluate(() => stored.get('k')), 1)
  assert.deepEqual(await page.evaluate(() => unsaved), ['s: the storage failed: this page has no IndexedDB'])
})

test('a database that is deleted under the page is made again', async () => {
  const page = await openPage(browser, pages.url)
  await join(page, 'deleted', offline())
  const kept = await page.evaluate(async () => {
    stored.set('a', 1)
    await stored.saved()
    await new Promise<void>((resolve, reject) => {
      const request = indexedDB.deleteDatabase('test')
      request.onsuccess = () => { resolve() }
      request.onerror = () => { reject(new Error('not deleted')) }
    })
    stored.set('b', 2)
    await stored.saved()
    return stored.toObject()
  })
  assert.deepEqual(kept, { a: 1, b: 2 })
  await page.reload()
  await join(page, 'deleted', offline())
  assert.deepEqual(await content(page), { b: 2 })
})
