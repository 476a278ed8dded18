/** Starts Chromium and opens pages whose errors are printed. */

import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'

export async function launch (): Promise<Browser> {
  return await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-features=WebRtcHideLocalIpsWithMdns']
  })
}

/** The time for one step of a page. */
const STEP_MS = 60_000

/** Opens a page in a context of its own, with separate storage. */
export async function openPage (browser: Browser, url: string, viewport = { width: 1280, height: 800 }): Promise<Page> {
  const context = await browser.newContext({ viewport })
  context.setDefaultTimeout(STEP_MS)
  const page = await context.newPage()
  page.on('pageerror', (error) => { console.error(`page error: ${error.message}`) })
  await page.goto(url)
  return page
}

/** Closes all pages, which would otherwise slow the next test down. */
export async function closePages (browser: Browser): Promise<void> {
  await Promise.all(browser.contexts().map(async (context) => { await context.close() }))
}
