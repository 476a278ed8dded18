/** Tests the clock, and deadlines that move with progress. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import test from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { Presence } from '../../src/room/presence.js'
import { clock, wait, withProgress } from '../../src/time.js'
import { until } from '../support/until.js'
import type { Topics } from '../../src/room/topics.js'

const DAY_MS = 24 * 60 * 60_000
const late = (): PeerworkError => new PeerworkError('timeout', 'too late')
const isLate = (error: unknown): boolean => error instanceof PeerworkError && error.code === 'timeout'

/** Runs work with a system clock that is set to another time. */
async function withClockBy (ms: number, work: () => Promise<void> | void): Promise<void> {
  const real = Date.now
  Date.now = () => real() + ms
  try {
    await work()
  } finally {
    Date.now = real
  }
}

test('the clock goes on when the system\'s clock is set back, and jumps forward with it', async () => {
  const before = clock()
  await withClockBy(-DAY_MS, async () => {
    const first = clock()
    assert.ok(first >= before && first - before < 10_000, `${first - before} ms`)
    await until('the clock to go on', () => clock() > first)
    await withClockBy(-DAY_MS, () => { assert.ok(clock() >= first && clock() - first < 10_000) })
  })
  const there = clock()
  await withClockBy(DAY_MS, () => { assert.ok(clock() - there >= DAY_MS) })
})

test('a node whose system clock is set back goes on to announce itself', async () => {
  let announced = 0
  const topics = { subscribe: () => () => {}, publish: async () => { announced += 1; return 1 } } as unknown as Topics
  const presence = new Presence(topics, 'presence', 'self', { name: '', state: null, workers: 0, addresses: () => [] },
    { onChange: () => {}, onHeard: () => {} })
  const leaving = new AbortController()
  const running = presence.run(leaving.signal)
  await until('the first announcement', () => announced === 1)
  await withClockBy(-DAY_MS, async () => {
    presence.announce()
    await until('an announcement that follows a change', () => announced === 2, 2_000)
    await until('the announcement at the interval', () => announced === 3, 10_000)
  })
  leaving.abort()
  await running
})

test('work that makes progress goes on beyond its first deadline, to the end of the whole time', async () => {
  const steps = async (count: number, ms: number, totalMs: number): Promise<number> => {
    return await withProgress({ ms: 150, totalMs, late }, async (signal, extend) => {
      let done = 0
      for (; done < count; done += 1) {
        await wait(ms, signal)
        extend(150)
      }
      return done
    })
  }
  assert.equal(await steps(4, 60, 5_000), 4)
  await assert.rejects(steps(1, 400, 5_000), isLate)
  await assert.rejects(steps(100, 20, 300), isLate)
})

test('work with progress ends with the reason of the caller\'s signal', async () => {
  const reason = new Error('enough')
  const caller = new AbortController()
  const running = withProgress({ ms: 5_000, totalMs: 5_000, late, signal: caller.signal }, async (signal) => { await wait(5_000, signal) })
  caller.abort(reason)
  await assert.rejects(running, reason)
})

test('work that was given up moves no deadline any more, and holds no process up', async () => {
  const script = `
    import { withProgress } from ${JSON.stringify(new URL('../../src/time.js', import.meta.url).href)}
    let more
    const late = () => new Error('late')
    await withProgress({ ms: 10, totalMs: 600_000, late }, async (_signal, extend) => {
      more = extend
      await new Promise(() => {})
    }).catch(() => {})
    more(600_000)
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' })
  try {
    await until('the process to end', () => child.exitCode === 0, 20_000)
  } finally {
    child.kill('SIGKILL')
  }
})
