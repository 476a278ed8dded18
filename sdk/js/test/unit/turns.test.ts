/** Tests that work for one key does not run twice at once. */

import assert from 'node:assert/strict'
import test from 'node:test'
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
