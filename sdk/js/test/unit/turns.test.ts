/** Tests that work for one key does not run twice at once. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { Turns } from '../../src/turns.js'

test('work for one key runs one after the other, and calls that wait share one run', async () => {
  const turns = new Turns()
  const ends: Array<() => void> = []
  const work = async (): Promise<number> => {
    const place = ends.length
    await new Promise<void>((resolve) => { ends.push(resolve) })
    return place
  }
  const [first, second, third] = [turns.run('a', work), turns.run('a', work), turns.run('a', work)]
  const other = turns.run('b', work)
  assert.equal(ends.length, 2)
  for (const end of ends) end()
  assert.deepEqual(await Promise.all([first, other]), [0, 1])
  while (ends.length < 3) await null
  ends[2]?.()
  assert.deepEqual(await Promise.all([second, third]), [2, 2])
  assert.equal(ends.length, 3)
})

test('work that fails, and work that is noted, let the next run', async () => {
  const turns = new Turns()
  const failing = turns.run('a', async () => { throw new Error('no') })
  const next = turns.run('a', async () => 1)
  await assert.rejects(failing, /no/)
  assert.equal(await next, 1)
  let end = (): void => {}
  const noted = turns.note('a', new Promise<void>((resolve) => { end = resolve }))
  let ran = false
  const after = turns.run('a', async () => { ran = true })
  await null
  assert.equal(ran, false)
  end()
  await Promise.all([noted, after])
  assert.equal(ran, true)
})

test('of two requests that cross, that of the smaller id goes first, and the other is repeated after it', async () => {
  const [small, large] = [new Turns(), new Turns()]
  let end = (): void => {}
  const served = new Promise<void>((resolve) => { end = resolve })
  let answer = (): void => {}
  const first = small.run('a', async (turn) => {
    turn.sends()
    await new Promise<void>((resolve) => { answer = resolve })
    turn.answered()
    await served
  })
  const runs: string[] = []
  const second = large.run('a', async (turn) => {
    turn.sends()
    runs.push('sent')
    if (runs.length > 1) return
    assert.equal(large.refuses('a', 'id 2', 'id 1'), false)
    void large.note('a', served)
    assert.equal(small.refuses('a', 'id 1', 'id 2'), true)
    throw new PeerworkError('peer-busy', 'refused')
  })
  answer()
  for (let round = 0; round < 10; round += 1) await null
  assert.equal(small.refuses('a', 'id 1', 'id 2'), false, 'the peer knows of a request that it answered')
  assert.deepEqual(runs, ['sent'])
  end()
  await Promise.all([first, second])
  assert.deepEqual(runs, ['sent', 'sent'])
})

test('a request is not sent while the work of the peer runs that began before, and fails after three attempts', async () => {
  const turns = new Turns()
  const ends: Array<() => void> = []
  let sent = 0
  const asking = turns.run('a', async (turn) => {
    turns.note('a', new Promise<void>((resolve) => { ends.push(resolve) })).catch(() => {})
    turn.sends()
    sent += 1
  })
  const failed = assert.rejects(asking, { code: 'peer-busy' })
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    for (let round = 0; round < 10; round += 1) await null
    assert.equal(ends.length, attempt)
    ends.at(-1)?.()
  }
  await failed
  assert.deepEqual([ends.length, sent], [3, 0])
})
