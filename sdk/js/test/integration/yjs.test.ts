/** Tests the provider of Yjs over a relay, in Node.js and Chromium. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import * as Y from 'yjs'
import { closePages, launch } from '../support/browser.js'
import { Members, allSee } from '../support/members.js'
import { Relay, ownLoopback } from '../support/relay.js'
import { seeded } from '../support/fake-room.js'
import { until } from '../support/until.js'
import { serveYjsPages } from '../support/yjs-pages.js'
import { PeerworkProvider } from '../../src/yjs/index.js'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { PeerworkNode } from '../../src/index.js'
import type { Pages } from '../support/pages.js'

/** The variables that the pages of this test have. */
declare global {

  var openDoc: (options: { relay: string, room: string, name: string, stored?: string }) => Promise<void>
  var untilStored: () => Promise<void>
  var doc: Y.Doc
  var provider: PeerworkProvider
}

const members = new Members()
let relay: Relay
let browser: Browser
let pages: Pages
/** The errors that pages printed; Yjs prints one when a page has two copies of it. */
const complaints: string[] = []

before(async () => {
  [relay, browser, pages] = await Promise.all([Relay.start([], ownLoopback()), launch(), serveYjsPages()])
})
after(async () => {
  await members.leave()
  await browser.close()
  pages.close()
  await relay.remove()
})

async function join (room: string, name: string): Promise<PeerworkNode> {
  return await members.join({ relays: [relay.webSocket], room, name, listen: [] })
}

async function openPage (context: BrowserContext, options: { room: string, name: string, stored?: string }): Promise<Page> {
  const page = await context.newPage()
  page.on('pageerror', (error) => { console.error(`page error: ${error.message}`) })
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()) })
  await page.goto(pages.url)
  await page.evaluate(async (options) => { await openDoc(options) }, { relay: relay.webSocket, ...options })
  return page
}

const textOf = ({ doc }: PeerworkProvider): string => doc.getText('t').toString()
const reads = async (page: Page, words: string): Promise<void> => {
  await page.waitForFunction((words) => doc.getText('t').toString() === words, words)
}

test('the bundle for browsers leaves Yjs to the application', async () => {
  const bundle = await readFile(new URL('../../browser/yjs.js', import.meta.url), 'utf8')
  const imported = [...bundle.matchAll(/(?:from|import)\s*"([^"]+)"/g)].map(([, name]) => name ?? '')
  assert.deepEqual([...new Set(imported.filter((name) => !name.startsWith('./')))].sort(), ['y-protocols/awareness', 'yjs'])
})

test('random edits at three nodes agree after the relay went away and came back', async () => {
  const random = seeded(11)
  const nodes = [await join('random', 'a'), await join('random', 'b'), await join('random', 'c')]
  await allSee(nodes, 'relayed')
  const all = nodes.map((node) => new PeerworkProvider(node, new Y.Doc()))
  await Promise.all(all.map(async ({ whenSynced }) => { await whenSynced }))
  const edit = (): void => {
    for (let at = 0; at < 40; at += 1) {
      const text = all[Math.floor(random() * 3)]?.doc.getText('t')
      if (text === undefined) continue
      if (random() < 0.7) text.insert(Math.floor(random() * (text.length + 1)), 'xyz'.slice(0, 1 + Math.floor(random() * 3)))
      else if (text.length > 0) text.delete(Math.floor(random() * text.length), 1)
    }
  }
  const agree = async (what: string): Promise<void> => {
    await until(what, () => new Set(all.map(textOf)).size === 1 && all.every(({ synced }) => synced), 60_000)
  }
  for (let round = 1; round <= 2; round += 1) {
    edit()
    await agree(`agreement in round ${round}`)
    edit()
    await relay.stop('SIGKILL')
    await until('the loss', () => all.every(({ connected, synced }) => !connected && !synced))
    edit()
    await relay.start()
    edit()
    await agree(`agreement after cut ${round}`)
  }
  const [first, second] = all as [PeerworkProvider, PeerworkProvider, PeerworkProvider]
  first.doc.getText('t').insert(0, 'goodbye')
  await nodes[0]?.leave()
  await until('the edit before the departure', () => textOf(second).startsWith('goodbye'), 10_000)
  await assert.rejects(async () => new PeerworkProvider(nodes[0] as PeerworkNode, new Y.Doc()), /has left/)
  for (const provider of all) await provider.destroy()
})

test('a document of 5 MiB reaches a late joiner over a circuit, and a burst of 1,000 updates arrives', async () => {
  const [a, b] = [await join('large', 'a'), await join('large', 'b')]
  const one = new PeerworkProvider(a, new Y.Doc())
  await one.whenSynced
  const large = 'lorem ipsum '.repeat(5 * 1024 * 1024 / 12)
  one.doc.getText('t').insert(0, large)
  await allSee([a, b], 'relayed')
  const two = new PeerworkProvider(b, new Y.Doc())
  await two.whenSynced
  assert.equal(textOf(two), large)
  for (let at = 0; at < 1000; at += 1) two.doc.getText('t').insert(0, String(at % 10))
  await until('the burst', () => textOf(one).length === large.length + 1000)
  assert.equal(textOf(one), textOf(two))
  // A large update of a peer that is there already is announced and fetched.
  one.doc.getText('t').insert(0, large.slice(0, 1024 * 1024))
  await until('the large update', () => textOf(two) === textOf(one))
  await one.destroy()
  one.doc.getText('t').insert(0, 'while destroyed, ')
  two.doc.getText('t').insert(0, 'meanwhile, ')
  const again = new PeerworkProvider(a, one.doc)
  await until('both edits', () => textOf(again) === textOf(two) && textOf(two).includes('while destroyed, ') && textOf(two).includes('meanwhile, '))
  await again.destroy()
})

test('two pages and a program edit one text, see each other, and go on when the relay is gone', async () => {
  const context = await browser.newContext()
  const [one, two] = [await openPage(context, { room: 'pages', name: 'one' }), await openPage(context, { room: 'pages', name: 'two' })]
  const node = await join('pages', 'program')
  const provider = new PeerworkProvider(node, new Y.Doc(), { name: 'text' })
  provider.awareness.setLocalStateField('user', { name: 'program' })
  const names = (states: Map<number, { [key: string]: unknown }>): string[] => {
    return [...states.values()].flatMap(({ user }) => user === undefined ? [] : [(user as { name: string }).name]).sort()
  }
  await one.evaluate(() => { doc.getText('t').insert(0, 'one') })
  await two.waitForFunction(() => doc.getText('t').length === 3)
  await two.evaluate(() => { doc.getText('t').insert(3, ' two') })
  await until('the pages\' words', () => textOf(provider) === 'one two')
  provider.doc.getText('t').insert(7, ' three')
  for (const page of [one, two]) await reads(page, 'one two three')
  await until('all names', () => names(provider.awareness.getStates()).join() === 'one,program,two')
  for (const page of [one, two]) await page.waitForFunction(() => [...provider.awareness.getStates().values()].filter((state) => state['user'] !== undefined).length === 3)
  await two.waitForFunction(() => node.peers.some(({ connection }) => connection === 'direct'))
  await one.evaluate(() => { doc.getText('large').insert(0, 'x'.repeat(8 * 1024 * 1024)) })
  await two.waitForFunction(() => doc.getText('large').length === 8 * 1024 * 1024)
  await relay.stop('SIGKILL')
  await one.waitForFunction(() => node.relays.every(({ connected }) => !connected))
  await one.evaluate(() => { doc.getText('t').insert(0, 'still ') })
  await reads(two, 'still one two three')
  await relay.start()
  await until('the words of the outage', () => textOf(provider) === 'still one two three', 60_000)
  await two.evaluate(() => { doc.getText('t').insert(0, 'closing ') })
  await two.close()
  await until('the departure', () => names(provider.awareness.getStates()).join() === 'one,program')
  assert.deepEqual(complaints.filter((text) => text.includes('Yjs')), [])
  await until('the last words', () => textOf(provider) === 'closing still one two three')
  await closePages(browser)
  await provider.destroy()
})

test('with y-indexeddb a page keeps edits that it made offline over a reload', async () => {
  const context = await browser.newContext()
  const options = { room: 'stored', name: 'page', stored: 'notes' }
  const page = await openPage(context, options)
  const node = await join('stored', 'program')
  const provider = new PeerworkProvider(node, new Y.Doc(), { name: 'text' })
  await page.evaluate(() => { doc.getText('t').insert(0, 'online') })
  await until('the first words', () => textOf(provider) === 'online')
  await page.evaluate(() => {
    provider.disconnect()
    doc.getText('t').insert(6, ' offline')
    doc.getText('t').delete(0, 2)
  })
  await page.evaluate(async () => { await untilStored() })
  await page.reload()
  provider.doc.getText('t').insert(0, 'program ')
  await page.evaluate(async (options) => { await openDoc(options) }, { relay: relay.webSocket, ...options })
  await until('the offline words', () => textOf(provider) === 'program line offline')
  await reads(page, 'program line offline')
  await closePages(browser)
  await provider.destroy()
})
