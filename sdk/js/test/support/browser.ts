/** Chromium, and pages in it that tell their errors. */

import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'

export async function launch (): Promise<Browser> {
  return await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-features=WebRtcHideLocalIpsWithMdns']
  })
}

/** How long a page may take for one step. */
const STEP_MS = 60_000

/** A page in a context of its own: other storage, as of another person. */
export async function openPage (browser: Browser, url: string, viewport = { width: 1280, height: 800 }): Promise<Page> {
  const context = await browser.newContext({ viewport })
  context.setDefaultTimeout(STEP_MS)
  const page = await context.newPage()
  page.on('pageerror', (error) => { console.error(`page error: ${error.message}`) })
  await page.goto(url)
  return page
}

/** Ends all pages: those of an earlier test would only take time from the next one's. */
export async function closePages (browser: Browser): Promise<void> {
  await Promise.all(browser.contexts().map(async (context) => { await context.close() }))
}
