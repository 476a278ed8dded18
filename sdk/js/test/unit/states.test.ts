import assert from 'node:assert/strict'
import test from 'node:test'
import { Identity } from '../../src/index.js'
import { namesOf } from '../../src/room/names.js'
import { States } from '../../src/state/states.js'
import { until } from '../support/until.js'
import type { Topics } from '../../src/room/topics.js'

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
