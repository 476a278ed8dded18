/** Tests the examples in Chromium by clicking and typing. */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { closePages, launch, openPage } from '../support/browser.js'
import { serveExamples } from '../support/pages.js'
import { Relay, ownLoopback } from '../support/relay.js'
import type { Browser, Page } from 'playwright-core'

const DESKTOP = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 844 }
/** The folder for screenshots, if they are wanted. */
const shots = process.env['PEERWORK_SCREENSHOTS']

let browser: Browser
let relay: Relay
let examples: { url: string, close: () => void }

before(async () => {
  [browser, examples] = await Promise.all([launch(), serveExamples()])
  if (shots !== undefined) await mkdir(shots, { recursive: true })
})

// Each test has a relay and pages of its own.
beforeEach(async () => { relay = await Relay.start([], ownLoopback()) })
afterEach(async () => {
  await closePages(browser)
  await relay.remove()
})

after(async () => {
  await browser.close()
  examples.close()
})

async function enter (example: string, name: string, viewport = DESKTOP): Promise<Page> {
  const query = new URLSearchParams({ relay: relay.webSocket, room: `our ${example}`, name })
  return await openPage(browser, `${examples.url}/${example}/?${query}`, viewport)
}

async function say (page: Page, words: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill(words)
  await page.getByRole('button', { name: 'Send' }).click()
}

const reads = async (page: Page, words: string): Promise<void> => {
  await page.locator('.bubble', { hasText: words }).waitFor()
}

async function shoot (page: Page, name: string): Promise<void> {
  if (shots !== undefined) await page.screenshot({ path: `${shots}/${name}.png` })
}

test('pages chat, become independent of the relay, and go on when it is gone and when it is back', async () => {
  const ada = await enter('chat', 'Ada')
  const grace = await enter('chat', 'Grace', PHONE)
  await ada.getByRole('button', { name: 'Grace' }).waitFor()
  await grace.getByRole('button', { name: 'Ada' }).waitFor()
  await say(ada, 'Good morning. Has anybody tried the new relay?')
  await reads(grace, 'Good morning')
  await say(grace, 'Yes. Pages stay together when it restarts.')
  await reads(ada, 'Pages stay together')

  const linus = await enter('chat', 'Linus')
  await reads(linus, 'Good morning')
  await say(linus, 'Talk is cheap. Show me the code.')
  await reads(ada, 'Talk is cheap')

  await ada.getByRole('button', { name: 'Grace' }).click()
  await say(ada, 'He always says that.')
  await reads(grace, 'He always says that.')
  await ada.getByRole('button', { name: 'Grace only' }).click()
  assert.equal(await linus.locator('.bubble', { hasText: 'He always' }).count(), 0)

  for (const page of [ada, grace, linus]) {
    await page.locator('.badge[data-kind=direct]').nth(1).waitFor({ state: 'attached' })
  }
  await shoot(ada, 'chat-desktop')
  await shoot(grace, 'chat-phone')

  await relay.stop('SIGKILL')
  for (const page of [ada, grace, linus]) await page.getByRole('status').getByText('without relay').waitFor()
  await say(ada, 'Is the relay away?')
  for (const page of [grace, linus]) await reads(page, 'Is the relay away?')
  await say(grace, 'It is, and nobody minds.')
  for (const page of [ada, linus]) await reads(page, 'nobody minds')

  await relay.start()
  for (const page of [ada, grace, linus]) await page.getByRole('status').getByText('connected', { exact: true }).waitFor()
  const barbara = await enter('chat', 'Barbara')
  await reads(barbara, 'nobody minds')
  await say(barbara, 'Back again.')
  for (const page of [ada, grace, linus]) await reads(page, 'Back again.')
})

test('all pages count one number', async () => {
  const [ada, grace] = [await enter('counter', 'Ada'), await enter('counter', 'Grace', PHONE)]
  const clicks = async (page: Page, times: number): Promise<void> => {
    for (let at = 0; at < times; at += 1) await page.getByRole('button', { name: 'Add one' }).click()
  }
  await Promise.all([clicks(ada, 5), clicks(grace, 3)])
  for (const page of [ada, grace]) await page.locator('#count', { hasText: /^8$/ }).waitFor()
  const late = await enter('counter', 'Late')
  await late.locator('#count', { hasText: /^8$/ }).waitFor()
  await shoot(ada, 'counter-desktop')
  await shoot(grace, 'counter-phone')
})

test('three pages compute for a fourth', async () => {
  const asker = await enter('compute', 'Ada')
  for (const name of ['Grace', 'Linus', 'Barbara']) {
    const page = await enter('compute', name, PHONE)
    await page.getByLabel('Compute for the others').check()
  }
  await asker.getByText('3 peers offer to compute').waitFor()
  for (const sample of ['primes', 'collatz', 'pi']) {
    await asker.locator('#sample').selectOption(sample)
    await asker.getByRole('button', { name: 'Run on other peers' }).click()
    await asker.getByText('A majority agrees').waitFor()
    assert.equal(await asker.locator('#reports .badge', { hasText: 'agreed' }).count(), 3)
  }
  assert.match(await asker.locator('#value').innerText(), /314159265358979/)
  await shoot(asker, 'compute-desktop')
})

test('players see each other move and wave, and change rooms', async () => {
  const ada = await enter('kernel', 'Ada')
  const grace = await enter('kernel', 'Grace', PHONE)
  const dot = (page: Page, name: string) => page.locator('.dot', { hasText: name })
  await dot(ada, 'Grace').waitFor()
  await dot(grace, 'Ada').waitFor()
  const before = await dot(ada, 'Ada').getAttribute('style')
  await ada.getByRole('application').press('ArrowRight')
  await ada.getByRole('application').press('ArrowUp')
  const after = await dot(ada, 'Ada').getAttribute('style') ?? ''
  assert.notEqual(after, before)
  await grace.waitForFunction((style) => [...document.querySelectorAll('.dot')].some((one) => one.getAttribute('style') === style), after)
  await ada.getByRole('button', { name: 'Wave' }).click()
  await grace.locator('.dot.waves', { hasText: 'Ada' }).waitFor()
  await grace.getByRole('listitem').filter({ hasText: 'Ada' }).getByText('waved 1×').waitFor()
  await shoot(ada, 'kernel-desktop')
  await shoot(grace, 'kernel-phone')

  await grace.getByRole('textbox', { name: 'Room' }).fill('elsewhere')
  await grace.getByRole('button', { name: 'Go to room' }).click()
  await dot(ada, 'Grace').waitFor({ state: 'detached' })
  await dot(grace, 'Ada').waitFor({ state: 'detached' })
  await grace.getByRole('textbox', { name: 'Room' }).fill('our kernel')
  await grace.getByRole('button', { name: 'Go to room' }).click()
  await dot(ada, 'Grace').waitFor()
  // The counts of a room outlast the absence of a player.
  await grace.getByRole('listitem').filter({ hasText: 'Ada' }).getByText('waved 1×').waitFor()
})

test('two pages edit one text, with the cursors of the others, also after a reload', async () => {
  const [ada, grace] = [await enter('text', 'Ada'), await enter('text', 'Grace', PHONE)]
  const editor = (page: Page): ReturnType<Page['getByRole']> => page.getByRole('textbox', { name: 'Text' })
  const holds = async (page: Page, words: string): Promise<void> => { await editor(page).getByText(words).first().waitFor() }
  for (const [page, other] of [[ada, 'Grace'], [grace, 'Ada']] as const) {
    await page.getByRole('list', { name: 'Editors' }).getByText(other, { exact: true }).waitFor()
  }
  await editor(ada).click()
  await ada.keyboard.type('Dear room,\n\nwe write this letter together.\n')
  await holds(grace, 'we write this letter together.')
  await editor(grace).click()
  await grace.keyboard.press('Control+End')
  await grace.keyboard.type('No server keeps it.')
  await holds(ada, 'No server keeps it.')
  for (const [page, other] of [[ada, 'Grace'], [grace, 'Ada']] as const) {
    await page.locator('.cm-ySelectionInfo', { hasText: other }).waitFor({ state: 'attached' })
  }
  await ada.keyboard.press('Control+z')
  await editor(grace).getByText('Dear room').waitFor({ state: 'detached' })
  await holds(grace, 'No server keeps it.')
  await ada.keyboard.press('Control+y')
  await holds(grace, 'Dear room')
  for (const scheme of ['light', 'dark'] as const) {
    for (const [page, name] of [[ada, 'desktop'], [grace, 'phone']] as const) {
      await page.emulateMedia({ colorScheme: scheme })
      await shoot(page, `text-${name}-${scheme}`)
    }
  }
  await relay.stop('SIGKILL')
  await ada.keyboard.press('Control+End')
  await ada.keyboard.type(' Not even the relay.')
  await relay.start()
  await holds(grace, 'Not even the relay.')
  await grace.reload()
  await holds(grace, 'Not even the relay.')
})
