import assert from 'node:assert/strict'
import test from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { canonicalJson } from '../../src/compute/index.js'
import { Pool } from '../../src/compute/pool.js'
import { parseOutcome } from '../../src/compute/task-script.js'
import { Vote } from '../../src/compute/vote.js'
import { parseAnswer, parseTask } from '../../src/compute/wire.js'
import { TASK_INPUT_BYTES_MAX, TASK_SOURCE_CHARS_MAX, TASK_TIMEOUT_MAX_MS } from '../../src/limits.js'
import type { TaskAnswer } from '../../src/compute/wire.js'
import type { Json } from '../../src/bytes.js'

const agreeing = (vote: Vote): string[] | undefined => vote.majority?.peers
const never = new AbortController().signal

async function compute (source: string, input: Json = null, timeoutMs = 20_000): Promise<TaskAnswer> {
  const pool = new Pool({ workers: 1, queue: 0, timeoutMaxMs: 20_000, memoryMiB: 64 })
  return await pool.run({ source, input: JSON.stringify(input), timeoutMs }, never)
}

test('one value has one text', () => {
  assert.equal(canonicalJson({ b: [1, -0, 1e21, 'ü'], a: { d: null, c: undefined } }), '{"a":{"d":null},"b":[1,0,1e+21,"ü"]}')
  assert.equal(canonicalJson({ '\u{1f600}': 1, '\ufb33': 2, 10: 3, 9: 4 }), '{"10":3,"9":4,"\u{1f600}":1,"\ufb33":2}')
  for (const wrong of [Number.NaN, Infinity, undefined, [undefined], () => 1, 1n]) {
    assert.throws(() => canonicalJson(wrong), (error) => error instanceof PeerworkError && error.code === 'invalid-argument')
  }
  let deep: unknown = 1
  for (let level = 0; level < 200; level += 1) deep = [deep]
  assert.throws(() => canonicalJson(deep), PeerworkError)
})

test('more than half must agree', () => {
  const right: TaskAnswer = { ok: true, result: { a: 1, b: 2 } }
  const alsoRight: TaskAnswer = { ok: true, result: { b: 2, a: 1 } }
  const wrong: TaskAnswer = { ok: true, result: 3 }
  const vote = new Vote(3)
  vote.add('a', wrong)
  assert.equal(agreeing(vote), undefined)
  vote.add('b', right)
  vote.add('c', alsoRight)
  assert.deepEqual(agreeing(vote), ['b', 'c'])
  const tie = new Vote(4)
  for (const [peer, answer] of [['a', wrong], ['b', wrong], ['c', right], ['d', right]] as const) tie.add(peer, answer)
  assert.equal(tie.majority, undefined)
})

test('silence is no vote, and what was thrown is not compared', () => {
  const vote = new Vote(3)
  vote.add('a', { ok: false, failure: 'timeout', message: '' })
  vote.add('b', { ok: false, failure: 'timeout', message: '' })
  assert.equal(vote.majority, undefined)
  const threw = new Vote(2)
  threw.add('a', { ok: false, failure: 'threw', message: 'x is null' })
  threw.add('b', { ok: false, failure: 'threw', message: 'null has no y' })
  assert.equal(threw.majority?.peers.length, 2)
})

test('tasks and answers out of bounds are refused', () => {
  const task = { v: 1, source: 's', input: '1', timeoutMs: 1 }
  assert.deepEqual(parseTask(task), { source: 's', input: '1', timeoutMs: 1 })
  for (const wrong of [{ v: 2 }, { source: 's'.repeat(TASK_SOURCE_CHARS_MAX + 1) }, { input: '1'.repeat(TASK_INPUT_BYTES_MAX + 1) },
    { timeoutMs: 0 }, { timeoutMs: TASK_TIMEOUT_MAX_MS + 1 }, { source: 1 }]) {
    assert.equal(parseTask({ ...task, ...wrong }), undefined)
  }
  assert.deepEqual(parseAnswer({ ok: true, result: null }), { ok: true, result: null })
  for (const wrong of [null, {}, { ok: true }, { ok: false, failure: 'odd', message: '' }, { ok: false, failure: 'busy' }]) {
    assert.equal(parseAnswer(wrong), undefined)
  }
})

test('the answer of a thread may be forged and is checked', () => {
  assert.deepEqual(parseOutcome('{"ok":true,"result":[1]}', 100), { ok: true, result: [1] })
  for (const forged of [undefined, '', 1, {}, 'nonsense', '[]', '{"ok":true', `{"ok":true,"result":"${'x'.repeat(2000)}"}`]) {
    assert.equal(parseOutcome(forged, 100).ok, false)
  }
})

test('a task computes its result from its input', async () => {
  assert.deepEqual(await compute('({ n }) => ({ square: n * n })', { n: 12 }), { ok: true, result: { square: 144 } })
  assert.deepEqual(await compute('async (x) => await Promise.resolve(x)', 'ü'), { ok: true, result: 'ü' })
  assert.deepEqual(await compute('function () {}'), { ok: true, result: null })
})

test('a task that throws, or is none, says so', async () => {
  assert.deepEqual(await compute('() => { throw new RangeError("no") }'), { ok: false, failure: 'threw', message: 'no' })
  for (const source of ['1', '(', 'nothing', '() => 1n', '() => { const a = []; a.push(a); return a }']) {
    const answer = await compute(source)
    assert.ok(!answer.ok && answer.failure === 'threw', source)
  }
})

test('an endless task ends at its time, and the next one runs', async () => {
  const pool = new Pool({ workers: 1, queue: 1, timeoutMaxMs: 300, memoryMiB: 64 })
  const endless = pool.run({ source: '() => { for (;;); }', input: '1', timeoutMs: 10_000 }, never)
  const next = pool.run({ source: '() => 1', input: '1', timeoutMs: 10_000 }, never)
  const refused = await pool.run({ source: '() => 1', input: '1', timeoutMs: 10_000 }, never)
  assert.deepEqual([refused.ok, !refused.ok && refused.failure], [false, 'busy'])
  const answer = await endless
  assert.deepEqual([answer.ok, !answer.ok && answer.failure], [false, 'timeout'])
  const after = await next
  assert.ok(after.ok || after.failure === 'timeout', JSON.stringify(after))
})

test('a task that is cancelled ends at once', async () => {
  const pool = new Pool({ workers: 1, queue: 0, timeoutMaxMs: 60_000, memoryMiB: 64 })
  const cancel = new AbortController()
  const running = pool.run({ source: '() => { for (;;); }', input: '1', timeoutMs: 60_000 }, cancel.signal)
  cancel.abort()
  assert.equal((await running).ok, false)
})

test('a task that takes too much memory ends without the process', async () => {
  const answer = await compute('() => { const a = []; for (;;) a.push(new Array(1000).fill(a.length)) }')
  assert.ok(!answer.ok && answer.failure === 'threw', JSON.stringify(answer))
})

test('a result that is too large is refused', async () => {
  const answer = await compute('() => "x".repeat(2 ** 20 + 1)')
  assert.ok(!answer.ok && /too large/.test(answer.message), JSON.stringify(answer).slice(0, 200))
})

test('a task finds no object of Node.js', async () => {
  const looks = ['typeof process', 'typeof require', 'typeof fetch', 'typeof setTimeout', 'typeof module', 'typeof WebSocket']
  const answer = await compute(`() => [${looks.join(', ')}]`)
  assert.deepEqual(answer, { ok: true, result: looks.map(() => 'undefined') })
  const escapes = [
    '() => eval("1")',
    '() => new Function("return 1")()',
    '() => (() => {}).constructor("return process")().pid',
    '() => globalThis.constructor.constructor("return process")().pid',
    '() => { Promise.prototype.then = (f) => f.constructor("return process")().pid; return 1 }',
    '() => import("node:fs").then((fs) => fs.readFileSync("/etc/hostname", "utf8"))'
  ]
  for (const source of escapes) {
    const escaped = await compute(source, null, 2000)
    assert.ok(!escaped.ok, `${source}: ${JSON.stringify(escaped)}`)
  }
})
