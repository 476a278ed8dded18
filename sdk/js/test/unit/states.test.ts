import assert from 'node:assert/strict'
import test from 'node:test'
import { streamPair } from '@libp2p/utils'
import { Identity } from '../../src/index.js'
import { namesOf } from '../../src/room/names.js'
import { States } from '../../src/state/states.js'
import { until } from '../support/until.js'
import type { Topics } from '../../src/room/topics.js'
import type { Stream } from '@libp2p/interface'

const [self, neighbour, other] = await Promise.all([0, 1, 2].map(async () => (await Identity.generate()).peerId)) as [string, string, string]

test('a state is compared with a peer whose gossip begins to come, and with nobody for others', async (t) => {
  const leaving = new AbortController()
  t.after(() => { leaving.abort() })
  const asked: string[] = []
  const topics = { subscribe: () => () => {}, publish: async () => 1 } as unknown as Topics
  const names = namesOf('room')
  const present = Array.from({ length: 50 }, (_, at) => `somebody ${at}`)
  const states = new States(self, topics, names, {
    ids: () => [...present, neighbour],
    openStream: async (peer) => {
      asked.push(peer)
      throw new Error('not reached')
    }
  }, leaving.signal)
  const state = states.open('s', {})
  await state.ready
  asked.length = 0
  states.onLink(neighbour, ['another topic'])
  states.onLink(other, [names.stateTopic('s')])
  states.onLink(neighbour, [names.stateTopic('s')])
  await until('a comparison', () => asked.length > 0)
  assert.equal(asked[0], neighbour)
  assert.ok(!asked.includes(other), 'who is in another room has no part in it')
})

/** The size of the entries of a state, which are sent in several frames. */
const ENTRIES_BYTES = 20 * 10_000

test('the entries of a state are sent once when both sides begin to ask at the same moment', async (t) => {
  for (const holder of [0, 1]) {
    const leaving = new AbortController()
    t.after(() => { leaving.abort() })
    const topics = { subscribe: () => () => {}, publish: async () => 1 } as unknown as Topics
    const ids = [self, neighbour]
    let bytes = 0
    const counted = (stream: Stream): Stream => {
      stream.addEventListener('message', ({ data }) => { bytes += data.byteLength })
      return stream
    }
    const opened: Array<() => void> = []
    const sides: States[] = ids.map((id, at) => new States(id, topics, namesOf('room'), {
      ids: () => ids.filter((one) => one !== id),
      openStream: async () => {
        const [there, back] = await streamPair()
        void sides[1 - at]?.serve(counted(back), id)
        // Both sides have opened a stream before one of them sends its request.
        await new Promise<void>((resolve) => {
          opened.push(resolve)
          if (opened.length >= 2) for (const go of opened) go()
        })
        return counted(there)
      }
    }, leaving.signal))
    const states = sides.map((side) => side.open<string>('s', {}))
    for (let key = 0; key < 20; key += 1) states[holder]?.set(`key ${key}`, 'x'.repeat(ENTRIES_BYTES / 20))
    await Promise.all(states.map(async (state) => { await state.ready }))
    for (const state of states) assert.equal(state.keys().length, 20)
    assert.ok(bytes < 1.5 * ENTRIES_BYTES, `${bytes} bytes were sent from ${holder}`)
  }
})
