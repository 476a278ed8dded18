/** Tests the errors of the likeliest mistakes in options: each error names the option and the remedy. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PeerworkError, PeerworkNode } from '../../src/index.js'
import { EdgeClient } from '../../src/entry/fetch.js'
import { NodeKernel } from '../../src/peercompute/index.js'
import type { JoinOptions } from '../../src/index.js'

const right = { relays: ['/ip4/127.0.0.1/tcp/9'], room: 'garden' }
const invalid = (pattern: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof PeerworkError, String(error))
  assert.equal(error.code, 'invalid-argument')
  assert.match(error.message, pattern)
  return true
}
const join = async (options: unknown): Promise<unknown> => await PeerworkNode.join(options as JoinOptions)

for (const [name, options, meant] of [
  ['relay', { relay: right.relays, room: 'x' }, 'relays'],
  ['bootstrapPeers', { bootstrapPeers: right.relays, room: 'x' }, 'relays'],
  ['roomId', { relays: right.relays, roomId: 'x' }, 'room'],
  ['secret', { ...right, secret: 'pws_x' }, 'secrets'],
  ['networkID', { ...right, networkID: 1 }, 'networkId'],
  ['timeout', { ...right, timeout: 0 }, 'timeoutMs'],
  ['displayName', { ...right, displayName: 'Ada' }, 'name'],
  ['iceservers', { ...right, iceservers: [] }, 'iceServers'],
  ['persistence', { ...right, persistence: 'x' }, 'persist'],
  ['tokens', { ...right, tokens: 'x' }, 'token']
] as const) {
  test(`join names the option that ${name} was meant for`, async () => {
    await assert.rejects(join(options), invalid(new RegExp(`no option ${name}: its name here is ${meant}$`)))
  })
}

for (const [what, options, pattern] of [
  ['nothing', undefined, /options are an object/],
  ['an address', right.relays[0], /options are an object/],
  ['a text for relays', { ...right, relays: right.relays[0] }, /relays is no list/],
  ['a number for the room', { ...right, room: 7 }, /name of a room/],
  ['a text for the time', { ...right, timeoutMs: '5' }, /timeoutMs is a number/],
  ['no number for the time', { ...right, timeoutMs: NaN }, /timeoutMs is a number/],
  ['a negative time', { ...right, timeoutMs: -1 }, /timeoutMs is a number/],
  ['a peer id as identity', { ...right, identity: '12D3KooW' }, /Identity\.stored/],
  ['a controller as signal', { ...right, signal: new AbortController() }, /controller\.signal/],
  ['an address to listen on', { ...right, listen: '/ip4/0.0.0.0/tcp/0' }, /listen is a list/],
  ['an ICE server', { ...right, iceServers: { urls: 'stun:x' } }, /iceServers is a list/]
] as const) {
  test(`join rejects ${what}, and says what to give`, async () => {
    await assert.rejects(join(options), invalid(pattern))
  })
}

test('an edge client names options too, and knows no room', async () => {
  await assert.rejects(EdgeClient.connect({ relay: 'x' } as never), invalid(/relay: its name here is relays/))
  await assert.rejects(EdgeClient.connect({ roomId: 'x' } as never), invalid(/relays is missing/))
})

test('a kernel names the options of PeerCompute', () => {
  const make = (options: object) => () => new NodeKernel(options)
  assert.throws(make({ relays: right.relays }), invalid(/no option relays: its name here is bootstrapPeers/))
  assert.throws(make({ bootstrapPeer: right.relays }), invalid(/its name here is bootstrapPeers/))
  assert.throws(make({ room: 'x' }), invalid(/its name here is roomId/))
  assert.throws(make({ gameID: 'x' }), invalid(/its name here is gameId/))
  assert.throws(make({ discoverytopics: [] }), invalid(/its name here is discoveryTopics/))
})

test('fields without any likeness to an option are ignored, and so are those beside the option', () => {
  new NodeKernel({ bootstrapPeers: [], gameId: 'g', roomId: 'r', room: 'r', worldSeed: 7 } as object)
})
