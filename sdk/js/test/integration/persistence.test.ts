/** Tests stored states in Node.js: restarts, kills and full disks, and edits made offline. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Identity, PeerworkError, PeerworkNode } from '../../src/index.js'
import { MemoryStorage } from '../support/memory-storage.js'
import { Members, sees } from '../support/members.js'
import { Process } from '../support/process.js'
import { Relay, ownLoopback } from '../support/relay.js'
import { until } from '../support/until.js'
import type { JoinOptions, StateStorage } from '../../src/index.js'

/** The number of kills; `cargo xtask soak states` makes all of them. */
const KILLS = process.env['PEERWORK_TEST_WHOLE'] === undefined ? 10 : 100
const WRITER = fileURLToPath(new URL('../support/stored-writer.js', import.meta.url))

const members = new Members()
let relay: Relay
let folder: string

before(async () => {
  relay = await Relay.start([], ownLoopback())
  folder = await mkdtemp(join(tmpdir(), 'peerwork-persist-'))
})
after(async () => {
  await members.leave()
  await relay.remove()
  await rm(folder, { recursive: true })
})

async function joinRoom (room: string, persist?: string | StateStorage, more: Partial<JoinOptions> = {}): Promise<PeerworkNode> {
  return await members.join({ relays: [relay.webSocket], room, listen: [], ...persist === undefined ? {} : { persist }, ...more })
}

test('what saved() promised is there after kill -9, however often', async () => {
  const path = join(folder, 'killed')
  let promised = 0
  for (let round = 0; round <= KILLS; round += 1) {
    const writer = new Process(process.execPath, [WRITER, path])
    const [, text = ''] = await writer.line(/^loaded (.*)$/)
    const loaded = JSON.parse(text) as Record<string, number>
    assert.ok(Number(loaded['n'] ?? 0) >= promised, `${String(loaded['n'])} of ${promised} in round ${round}`)
    assert.equal(loaded[`key ${promised % 7}`] ?? promised, promised)
    await writer.line(new RegExp(`^saved ${promised + 1 + round * 3}$`))
    await writer.stop('SIGKILL')
    promised = Math.max(...[...writer.output.matchAll(/^saved (\d+)$/gm)].map(([, n]) => Number(n)))
    assert.doesNotMatch(writer.output, /unsaved|failed/)
  }
  assert.ok(promised > KILLS)
})

test('a disk without room is told once, and the node goes on until there is room', { skip: process.platform === 'win32' }, async () => {
  const path = join(folder, 'full')
  // The shell's unit is 1024 bytes, in some shells 512.
  const writer = new Process('sh', ['-c', 'ulimit -f 128; exec "$0" "$@"', process.execPath, WRITER, path, '20000'])
  await writer.line(/^failed storage-failed \d+$/)
  await writer.line(/^recovered$/)
  assert.equal(writer.output.match(/^unsaved s: /gm)?.length, 1)
  assert.match(writer.output, /unsaved s: .*(EFBIG|ENOSPC)/)
  await writer.stop()
  const again = new Process(process.execPath, [WRITER, path])
  const [, text = ''] = await again.line(/^loaded (.*)$/)
  await again.stop('SIGKILL')
  const loaded = Object.values(JSON.parse(text) as Record<string, number>)
  assert.ok(loaded.length > 1 && loaded.every((value) => value === 0), text)
})

test('an edit made offline reaches the others after a restart, and what they wrote meanwhile comes back', async () => {
  const identity = await Identity.generate()
  const path = join(folder, 'offline')
  const stays = (await joinRoom('offline')).state<string>('s')
  const first = await joinRoom('offline', path, { identity })
  first.state<string>('s').set('before', 'x')
  await until('the first write', () => stays.get('before') === 'x')
  await first.leave()
  const offline = await PeerworkNode.join({
    relays: [`/ip4/127.0.0.1/tcp/9/p2p/${relay.id}`], room: 'offline', persist: path, identity, timeoutMs: 0, listen: []
  })
  const alone = offline.state<string>('s')
  await alone.ready
  assert.equal(alone.get('before'), 'x')
  alone.set('offline', 'written alone')
  alone.delete('before')
  await offline.leave()
  stays.set('meanwhile', 'y')
  const back = await joinRoom('offline', path, { identity })
  await sees(back, back.peers[0]?.id ?? (await until('the other', () => back.peers[0])).id)
  const state = back.state<string>('s')
  await until('both to agree', () => stays.get('offline') === 'written alone' && state.get('meanwhile') === 'y')
  assert.deepEqual(stays.toObject(), { offline: 'written alone', meanwhile: 'y' })
  assert.deepEqual(state.toObject(), stays.toObject())
})

test('a storage of the application gets escaped names, and is closed once with the last changes in it', async () => {
  const storage = new MemoryStorage()
  const node = await joinRoom('a room/1', storage, { timeoutMs: 0 })
  node.state('b/c ö').set('k', 1)
  node.state('not stored', { persist: false }).set('k', 1)
  await assert.rejects(node.state('not stored').saved(), /not stored/)
  await node.leave()
  assert.deepEqual([...storage.states.keys()], ['a%20room%2F1/b%2Fc%20%C3%B6'])
  assert.deepEqual(storage.states.values().next().value?.get('k')?.value, 1)
  assert.equal(storage.closed, 1)
})

test('a storage that never answers delays neither join nor the others, and leave for a bounded time', async () => {
  const storage = new MemoryStorage()
  const node = await joinRoom('stuck', storage)
  const state = node.state('s')
  await state.ready
  storage.before = async () => { await new Promise<never>(() => {}) }
  state.set('k', 1)
  const since = Date.now()
  await node.leave()
  assert.ok(Date.now() - since < 9_000)
})

test('the event of a failing storage names the state and the reason', async () => {
  const storage = new MemoryStorage()
  const node = await joinRoom('told', storage)
  const told: unknown[] = []
  node.on('state:unsaved', (event) => { told.push(event) })
  storage.before = () => { throw new Error('no room left') }
  const state = node.state('board')
  await state.ready
  await assert.rejects(state.saved(), (error: unknown) => error instanceof PeerworkError && error.code === 'storage-failed' && error.retryable)
  assert.deepEqual(told, [{ name: 'board', reason: 'the storage failed: no room left' }])
})

test('a persist option that is none is refused by name', async () => {
  for (const persist of ['', 'x'.repeat(1025), 'a\0b', 5, {}, { load: () => {} }, { load () {}, save () {}, close: 5 }]) {
    await assert.rejects(joinRoom('wrong', persist as never), (error: unknown) => {
      return error instanceof PeerworkError && error.code === 'invalid-argument' && /persist/.test(error.message)
    })
  }
})
