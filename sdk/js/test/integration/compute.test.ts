import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { writeJsonFrame } from '../../src/stream/frames.js'
import { endWriting } from '../../src/stream/writer.js'
import { Members, allSee } from '../support/members.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { PeerReport } from '../../src/compute/index.js'
import type { PeerworkNode } from '../../src/index.js'

const members = new Members()
let relay: Relay
let asker: PeerworkNode
let honest: PeerworkNode[]
let liar: PeerworkNode

const SQUARES = '({ to }) => { let sum = 0; for (let n = 1; n <= to; n += 1) sum += n * n; return { sum } }'
const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted
const outcomes = (reports: PeerReport[]): Record<string, string> => {
  return Object.fromEntries(reports.map(({ peer, outcome }) => [peer, outcome]))
}

before(async () => {
  relay = await Relay.start()
  const join = async (name: string): Promise<PeerworkNode> => {
    return await members.join({ relays: [relay.tcp], room: 'compute', name, listen: [] })
  }
  asker = await join('asker')
  honest = [await join('honest 1'), await join('honest 2')]
  liar = await join('liar')
  await allSee([asker, ...honest, liar])
  for (const node of honest) node.compute.offer({ workers: 2 })
  liar.compute.offer({ workers: 2 })
  // The liar answers at once with a wrong result.
  liar.compute.serve = async (stream) => {
    const signal = AbortSignal.timeout(30_000)
    await writeJsonFrame(stream, { ok: true, result: { sum: 1 } }, signal)
    await endWriting(stream, signal)
  }
  await until('the offers', () => asker.peers.filter(({ workers }) => workers === 2).length === 3)
})

after(async () => {
  await members.leave()
  await relay.remove()
})

test('two honest peers outvote one that lies, and the lie is reported', async () => {
  const { value, reports } = await asker.compute.run(SQUARES, { to: 10 }, { redundancy: 3, until: 'all' })
  assert.deepEqual(value, { sum: 385 })
  assert.deepEqual(outcomes(reports), {
    [liar.peerId]: 'disagreed', ...Object.fromEntries(honest.map(({ peerId }) => [peerId, 'agreed']))
  })
  assert.deepEqual(reports.find(({ peer }) => peer === liar.peerId)?.result, { sum: 1 })
  assert.ok(reports.every(({ ms }) => ms >= 0))
})

test('a function can be given as it is', async () => {
  const { value } = await asker.compute.run((input: { text: string }) => [...input.text].reverse().join(''), { text: 'abc' },
    { redundancy: 2, peers: honest.map(({ peerId }) => peerId) })
  assert.equal(value, 'cba')
})

test('without a majority there is no result, but a report', async () => {
  const peers = [liar.peerId, honest[0]?.peerId ?? '']
  await assert.rejects(asker.compute.run(SQUARES, { to: 10 }, { redundancy: 2, peers }), (error: unknown) => {
    assert.ok(code('no-majority')(error), String(error))
    const { reports } = (error as PeerworkError).cause as { reports: PeerReport[] }
    assert.deepEqual(outcomes(reports), Object.fromEntries(peers.map((peer) => [peer, 'disagreed'])))
    return true
  })
})

test('a task that throws everywhere is the caller\'s fault', async () => {
  const peers = honest.map(({ peerId }) => peerId)
  await assert.rejects(asker.compute.run('() => { throw new Error("broken") }', null, { redundancy: 2, peers }),
    (error: unknown) => code('task-failed')(error) && /broken/.test((error as Error).message))
})

test('a task that takes too long is reported for each peer', async () => {
  const peers = honest.map(({ peerId }) => peerId)
  await assert.rejects(asker.compute.run('() => { for (;;); }', null, { redundancy: 2, timeoutMs: 300, peers }), (error: unknown) => {
    const { reports } = (error as PeerworkError).cause as { reports: PeerReport[] }
    return code('no-majority')(error) && reports.every(({ outcome }) => outcome === 'timeout')
  })
})

test('a cancelled task ends at the peers too, and frees their workers', async () => {
  const peers = [honest[0]?.peerId ?? '']
  const cancel = new AbortController()
  const endless = Array.from({ length: 4 }, async () => {
    await asker.compute.run('() => { for (;;); }', null, { redundancy: 1, timeoutMs: 60_000, peers, signal: cancel.signal })
  })
  const settled = Promise.allSettled(endless)
  await until('the workers and the queue to be full', async () => {
    const probe = await asker.compute.run('() => 1', null, { redundancy: 1, timeoutMs: 100, peers }).catch((error: unknown) => error)
    return probe instanceof PeerworkError && /busy/.test(probe.message)
  })
  cancel.abort(new Error('enough'))
  for (const result of await settled) assert.match(String(result.status === 'rejected' && result.reason), /enough/)
  const { value } = await until('a free worker', async () => {
    return await asker.compute.run('() => 1', null, { redundancy: 1, timeoutMs: 2_000, peers }).catch(() => undefined)
  })
  assert.equal(value, 1)
})

test('a peer without an offer gets no task, and a peer that refuses is replaced', async () => {
  const [first] = honest
  await assert.rejects(asker.compute.run(SQUARES, { to: 1 }, { redundancy: 4 }), code('too-few-peers'))
  const stop = first?.compute.offer({ workers: 2, allow: (peer) => peer !== asker.peerId })
  const { value, reports } = await asker.compute.run(SQUARES, { to: 2 }, {
    redundancy: 1, peers: honest.map(({ peerId }) => peerId), until: 'all'
  })
  assert.deepEqual(value, { sum: 5 })
  const refused = reports.find(({ peer }) => peer === first?.peerId)
  assert.ok(refused === undefined || refused.outcome === 'refused')
  stop?.()
  await until('the end of the offer', () => asker.peers.find(({ id }) => id === first?.peerId)?.workers === 0)
})

test('with atLeast a task takes 0, 1, 2 or 3 peers as they are there, and the reports show them', async () => {
  const node = await members.join({ relays: [relay.tcp], room: 'few', listen: [] })
  const offering: PeerworkNode[] = []
  for (const present of [0, 1, 2, 3]) {
    await until(`${present} offers`, () => node.peers.filter(({ workers }) => workers > 0).length === present)
    for (const atLeast of [1, 2, 3]) {
      const run = node.compute.run(SQUARES, { to: 3 }, { atLeast, until: 'all' })
      if (present < atLeast) {
        await assert.rejects(run, (error: unknown) => {
          assert.ok(code('too-few-peers')(error), String(error))
          assert.match((error as Error).message, present === 0 ? /no peer offers.*compute\.offer/ : new RegExp(`atLeast: ${present}`))
          assert.deepEqual((error as Error).cause, { needed: atLeast, present })
          return true
        })
      } else {
        const { value, reports } = await run
        assert.deepEqual(value, { sum: 14 })
        assert.deepEqual(outcomes(reports), Object.fromEntries(offering.map(({ peerId }) => [peerId, 'agreed'])))
      }
    }
    if (present < 3) await assert.rejects(node.compute.run(SQUARES, { to: 3 }), code('too-few-peers'))
    const next = await members.join({ relays: [relay.tcp], room: 'few', listen: [] })
    next.compute.offer({ workers: 2 })
    offering.push(next)
  }
})

test('with atLeast a peer that refuses takes no part in the vote, and a liar does', async () => {
  const [first, second] = honest as [PeerworkNode, PeerworkNode]
  const peers = [first.peerId, second.peerId]
  const stop = first.compute.offer({ workers: 2, allow: () => false })
  await until('the offer', () => asker.peers.find(({ id }) => id === first.peerId)?.workers === 2)
  const { value, reports } = await asker.compute.run(SQUARES, { to: 2 }, { redundancy: 2, atLeast: 1, peers, until: 'all' })
  assert.deepEqual(value, { sum: 5 })
  assert.deepEqual(outcomes(reports), { [first.peerId]: 'refused', [second.peerId]: 'agreed' })
  await assert.rejects(asker.compute.run(SQUARES, { to: 2 }, { redundancy: 2, atLeast: 2, peers }), code('no-majority'))
  await assert.rejects(asker.compute.run(SQUARES, { to: 2 }, { atLeast: 1, peers: [second.peerId, liar.peerId] }), code('no-majority'))
  stop()
  first.compute.offer({ workers: 2 })
})

test('a peer that is named twice has one vote', async () => {
  const peers = [liar.peerId, liar.peerId, liar.peerId]
  await assert.rejects(asker.compute.run(SQUARES, { to: 2 }, { redundancy: 2, peers }), code('too-few-peers'))
})

test('numbers out of bounds and input that is no JSON are refused', async () => {
  for (const options of [{ redundancy: 0 }, { redundancy: 33 }, { timeoutMs: 0 }, { timeoutMs: 600_001 },
    { atLeast: 0 }, { atLeast: 4 }, { redundancy: 2, atLeast: 3 }, { atLeast: 1.5 }, { atLeast: '1' as never }]) {
    await assert.rejects(asker.compute.run('() => 1', null, options), code('invalid-argument'))
  }
  await assert.rejects(asker.compute.run('() => 1', Number.NaN), code('invalid-argument'))
  await assert.rejects(asker.compute.run('x'.repeat(65_537), null), code('too-large'))
  assert.throws(() => asker.compute.offer({ workers: 0 }), code('invalid-argument'))
})
