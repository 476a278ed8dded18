/**
 * Tests the room on bad days: tabs that crash, pages that reload, computers that sleep, relays that
 * stop, restart or die. The times that members need are printed.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { PeerworkNode } from '../../src/index.js'
import { Process } from '../support/process.js'
import { servePages } from '../support/pages.js'
import { Relay, ownLoopback } from '../support/relay.js'
import { stopFor } from '../support/stopped.js'
import { until } from '../support/until.js'
import type { TestContext } from 'node:test'
import type { BrowserContext, BrowserServer, Page } from 'playwright-core'
import type { SharedState } from '../../src/index.js'
import type { Pages } from '../support/pages.js'
import type { Told } from '../support/member.js'

/** The variables of the pages. */
declare global {

  var state: SharedState<number>
}

/** The time for which a computer sleeps, longer than every time-out of a connection. */
const SLEEP_MS = 100_000
/** The time that members may take to notice a change. */
const NOTICE_MS = 60_000
const isLinux = process.platform === 'linux'

let pages: Pages
before(async () => { pages = await servePages({ connect: 'ws:' }) })
after(() => { pages.close() })

async function startRelay (t: TestContext): Promise<Relay> {
  const relay = await Relay.start([], ownLoopback())
  t.after(async () => { await relay.remove() })
  return relay
}

/** A member in this process, which writes to the state `s`. */
class Watcher {
  readonly node: PeerworkNode
  readonly state: SharedState<number>
  readonly events: string[] = []

  private constructor (node: PeerworkNode) {
    this.node = node
    this.state = node.state<number>('s')
    node.on('peer:join', ({ id }) => { this.events.push(`join ${id}`) })
    node.on('peer:leave', ({ id }) => { this.events.push(`leave ${id}`) })
  }

  static async join (t: TestContext, relays: string[], room: string): Promise<Watcher> {
    const node = await PeerworkNode.join({ relays, room, name: 'watcher', listen: [] })
    t.after(async () => { await node.leave() })
    return new Watcher(node)
  }

  sees (id: string): boolean {
    return this.node.peers.some((peer) => peer.id === id)
  }

  async has (key: string, value: number): Promise<void> {
    await until(`${key} to be ${value}`, () => this.state.get(key) === value, NOTICE_MS)
  }
}

async function startBrowser (t: TestContext): Promise<{ context: BrowserContext, server: BrowserServer }> {
  const server = await chromium.launchServer({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-features=WebRtcHideLocalIpsWithMdns']
  })
  const browser = await chromium.connect(server.wsEndpoint())
  t.after(async () => { await server.close() })
  return { context: await browser.newContext(), server }
}

/** Joins the room in a page that keeps its identity. */
async function enter (page: Page, relays: string[], room: string): Promise<string> {
  if (page.url() !== pages.url) await page.goto(pages.url)
  return await page.evaluate(async ({ relays, room }) => {
    const script = '/index.js'
    const { Identity, PeerworkNode } = await import(script) as typeof import('../../src/index.js')
    globalThis.node = await PeerworkNode.join({ relays, room, name: 'page', identity: await Identity.stored('bad-day') })
    globalThis.state = node.state<number>('s')
    await state.ready
    return node.peerId
  }, { relays, room })
}

const write = async (page: Page, key: string, value: number): Promise<void> => {
  await page.evaluate(([key, value]) => { state.set(key as string, value as number) }, [key, value])
}
const has = async (page: Page, key: string, value: number): Promise<void> => {
  await page.waitForFunction(([key, value]) => state.get(key as string) === value, [key, value], { timeout: NOTICE_MS })
}

/** Measures the time that members take, and prints it. */
async function timed<T> (t: TestContext, what: string, work: Promise<T>): Promise<T> {
  const began = Date.now()
  const result = await work
  t.diagnostic(`${what}: ${((Date.now() - began) / 1000).toFixed(1)} s`)
  return result
}

test('tabs of one origin are different peers, and a tab that was closed or crashed leaves its identity', async (t) => {
  const relay = await startRelay(t)
  const { context } = await startBrowser(t)
  const tabs = await Promise.all([1, 2, 3].map(async () => await context.newPage()))
  const ids: string[] = []
  for (const tab of tabs) ids.push(await enter(tab, [relay.webSocket], 'tabs'))
  assert.equal(new Set(ids).size, 3)
  const [first, second, third] = tabs as [Page, Page, Page]
  await write(first, 'k', 1)
  for (const tab of tabs) await has(tab, 'k', 1)
  const [closedId, crashedId] = [ids[1], ids[2]] as [string, string]
  await second.close()
  await third.goto('chrome://crash').catch(() => {})
  await timed(t, 'the first tab saw that both others were gone', first.waitForFunction(() => node.peers.length === 0, undefined, { timeout: NOTICE_MS }))
  const again = [await context.newPage(), await context.newPage()]
  const idsAgain: string[] = []
  for (const tab of again) idsAgain.push(await enter(tab, [relay.webSocket], 'tabs'))
  assert.deepEqual(idsAgain.sort(), [closedId, crashedId].sort())
  for (const tab of again) await has(tab, 'k', 1)
})

test('a page that is reloaded is the same peer at once, without a second one, and goes on', async (t) => {
  const relay = await startRelay(t)
  const [{ context }, watcher] = [await startBrowser(t), await Watcher.join(t, [relay.webSocket], 'reload')]
  const page = await context.newPage()
  const id = await enter(page, [relay.webSocket], 'reload')
  await until('the page', () => watcher.sees(id))
  for (let round = 1; round <= 3; round += 1) {
    watcher.events.length = 0
    await write(page, 'page', round)
    await watcher.has('page', round)
    const back = timed(t, 'the watcher saw the page again, reload included', until('the return', () => {
      return watcher.events.includes(`join ${id}`) && watcher.sees(id)
    }, NOTICE_MS))
    await page.reload()
    assert.equal(await enter(page, [relay.webSocket], 'reload'), id)
    await back
    assert.equal(watcher.node.peers.length, 1)
    await has(page, 'page', round)
    watcher.state.set('watcher', round)
    await has(page, 'watcher', round)
    const message = page.evaluate(async () => await new Promise((resolve) => { node.onMessage(({ data }) => { resolve(data) }) }))
    await until('a message', async () => await watcher.node.send(id, round, { timeoutMs: 5_000 }).then(() => true, () => false))
    assert.equal(await message, round)
  }
})

describe('after 100 s of sleep', { concurrency: true, skip: isLinux ? false : 'the processes are found in /proc' }, () => {
  test('a program comes back by itself, with all writes', async (t) => {
    const relay = await startRelay(t)
    const watcher = await Watcher.join(t, [relay.tcp], 'sleep')
    const script = fileURLToPath(new URL('../support/member.js', import.meta.url))
    const sleeper = new Process(process.execPath, [script, 'sleep', 'sleeper', relay.webSocket])
    t.after(async () => { await sleeper.stop('SIGKILL') })
    const told = (): Told => JSON.parse(sleeper.output.split('\n').findLast((line) => line.startsWith('{')) ?? '{"peers":[]}') as Told
    await until('both to meet', () => watcher.sees(told().id) && told().peers.includes(watcher.node.peerId))
    await until('the first count', () => (watcher.state.get('sleeper') ?? 0) > 3)
    const { id } = told()
    const sleep = stopFor(sleeper.pid, SLEEP_MS)
    await timed(t, 'the watcher saw that the program was gone', until('the departure', () => !watcher.sees(id), NOTICE_MS))
    watcher.state.set('watcher', 1)
    const before = watcher.state.get('sleeper') ?? 0
    await sleep
    const cpuMs = told().cpuMs
    await timed(t, 'the watcher saw the program again', until('the return', () => watcher.sees(id), NOTICE_MS))
    await timed(t, 'the watcher had its counts', until('counts', () => (watcher.state.get('sleeper') ?? 0) > before + 5, NOTICE_MS))
    await timed(t, 'the program had the missed write', until('the missed write', () => told().state['watcher'] === 1, NOTICE_MS))
    assert.equal(sleeper.isOver, false, sleeper.output)
    t.diagnostic(`the program used ${(told().cpuMs - cpuMs).toFixed(0)} ms of processor time to come back`)
    assert.ok(told().cpuMs - cpuMs < 5_000)
    assert.deepEqual(watcher.node.peers.map(({ id }) => id), [id])
  })

  test('a browser comes back by itself, with all writes', async (t) => {
    const relay = await startRelay(t)
    const [{ context, server }, watcher] = [await startBrowser(t), await Watcher.join(t, [relay.tcp], 'sleep')]
    const page = await context.newPage()
    const id = await enter(page, [relay.webSocket], 'sleep')
    await until('the page', () => watcher.sees(id))
    await page.evaluate(() => {
      let count = 0
      setInterval(() => { state.set('page', count += 1) }, 200)
    })
    await until('the first count', () => (watcher.state.get('page') ?? 0) > 3)
    const sleep = stopFor(server.process().pid ?? 0, SLEEP_MS)
    await timed(t, 'the watcher saw that the page was gone', until('the departure', () => !watcher.sees(id), NOTICE_MS))
    watcher.state.set('watcher', 1)
    const before = watcher.state.get('page') ?? 0
    await sleep
    await timed(t, 'the watcher saw the page again', until('the return', () => watcher.sees(id), NOTICE_MS))
    await timed(t, 'the watcher had its counts', until('counts', () => (watcher.state.get('page') ?? 0) > before + 5, NOTICE_MS))
    await timed(t, 'the page had the missed write', has(page, 'watcher', 1))
    assert.deepEqual(watcher.node.peers.map(({ id }) => id), [id])
  })

  test('a relay that stopped has all its members again', async (t) => {
    const relay = await startRelay(t)
    const [one, two] = [await Watcher.join(t, [relay.tcp], 'stopped'), await Watcher.join(t, [relay.webSocket], 'stopped')]
    const { context } = await startBrowser(t)
    const page = await context.newPage()
    const id = await enter(page, [relay.webSocket], 'stopped')
    await until('all to meet', () => [one, two].every(({ node }) => node.peers.length === 2))
    const sleep = stopFor(relay.pid, SLEEP_MS)
    const lost = (watcher: Watcher): boolean => watcher.node.relays.every(({ connected }) => !connected)
    await timed(t, 'programs saw that the relay was gone', until('the loss', () => lost(one) && lost(two), NOTICE_MS))
    await timed(t, 'the page saw it after that', page.waitForFunction(() => node.relays.every(({ connected }) => !connected), undefined, { timeout: NOTICE_MS }))
    one.state.set('one', 1)
    two.state.set('two', 2)
    await write(page, 'page', 3)
    await sleep
    await timed(t, 'all met again', until('all to meet again', () => [one, two].every(({ node }) => node.peers.length === 2 && node.peers.every(({ connection }) => connection !== 'none')), NOTICE_MS))
    await timed(t, 'all had all writes', Promise.all([
      one.has('two', 2), one.has('page', 3), two.has('one', 1), two.has('page', 3), has(page, 'one', 1), has(page, 'two', 2)
    ]))
    assert.deepEqual(one.node.peers.map(({ id }) => id).sort(), [id, two.node.peerId].sort())
  })
})

test('writes of an outage reach pages and programs when the relay is back', async (t) => {
  const relay = await startRelay(t)
  const watcher = await Watcher.join(t, [relay.tcp], 'restart')
  const { context } = await startBrowser(t)
  const page = await context.newPage()
  const id = await enter(page, [relay.webSocket], 'restart')
  await until('the page', () => watcher.sees(id))
  await relay.stop('SIGKILL')
  await until('the loss', () => watcher.node.relays.every(({ connected }) => !connected))
  await page.waitForFunction(() => node.relays.every(({ connected }) => !connected))
  watcher.state.set('watcher', 1)
  await write(page, 'page', 2)
  await relay.start()
  await timed(t, 'all had all writes', Promise.all([watcher.has('page', 2), has(page, 'watcher', 1)]))
  await until('the connection', () => watcher.node.peers.some((peer) => peer.id === id && peer.connection !== 'none'), NOTICE_MS)
})

test('of two relays one dies for good, and both restart one after the other', async (t) => {
  const [first, second] = [await startRelay(t), await startRelay(t)]
  const watcher = await Watcher.join(t, [first.tcp, second.tcp], 'two')
  const { context } = await startBrowser(t)
  const page = await context.newPage()
  const id = await enter(page, [first.webSocket, second.webSocket], 'two')
  await until('the page', () => watcher.sees(id))
  await until('both relays', () => watcher.node.relays.every(({ reserved }) => reserved))
  let value = 0
  const speak = async (what: string): Promise<void> => {
    value += 1
    watcher.state.set('watcher', value)
    await write(page, 'page', value)
    await timed(t, what, Promise.all([watcher.has('page', value), has(page, 'watcher', value)]))
  }
  await speak('with both relays')
  for (const relay of [first, second]) {
    await relay.stop('SIGKILL')
    await speak('right after one relay died')
    await until('the loss', () => watcher.node.relays.some((one) => one.id === relay.id && !one.connected), NOTICE_MS)
    await speak('with one relay')
    await relay.start()
    await until('the return', () => watcher.node.relays.every(({ reserved }) => reserved), NOTICE_MS)
    await page.waitForFunction(() => node.relays.every(({ connected }) => connected), undefined, { timeout: NOTICE_MS })
    await speak('with both again')
  }
  await first.stop('SIGKILL')
  await speak('after the first died for good')
  await until('the connection', () => watcher.node.peers.some((peer) => peer.id === id && peer.connection !== 'none'), NOTICE_MS)
  assert.deepEqual(watcher.node.peers.map((peer) => peer.id), [id])
})
