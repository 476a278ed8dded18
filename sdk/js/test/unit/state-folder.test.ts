/** Tests the storage of Node.js: the files of states, and the lock of their folder. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { Identity } from '../../src/index.js'
import { STATE_FILE_BYTES_MAX, STATE_KEYS_MAX } from '../../src/limits.js'
import { folderStorage } from '../../src/platform/state-folder.js'
import type { TestContext } from 'node:test'
import type { ResolveRecords, StateRecord, StateStorage } from '../../src/index.js'

const { peerId: author } = await Identity.generate()
const newer: ResolveRecords = (stored, given) => stored.clock > given.clock ? stored : given

async function folderOf (t: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'peerwork-states-'))
  t.after(async () => { await rm(parent, { recursive: true }) })
  return join(parent, 'states')
}

function open (t: TestContext, folder: string): StateStorage {
  const storage = folderStorage(folder)
  t.after(async () => { await storage.close?.() })
  return storage
}

const record = (key: string, value: string | undefined, clock = 1): StateRecord => {
  return value === undefined ? { key, clock, author } : { key, value, clock, author }
}

async function fileIn (folder: string): Promise<string> {
  const [name] = (await readdir(folder)).filter((found) => found.endsWith('.state'))
  return join(folder, name ?? '')
}

const byKey = (records: StateRecord[]): StateRecord[] => records.sort((a, b) => a.key < b.key ? -1 : 1)

/** Saves records and lets go of the folder. */
async function store (folder: string, ...saves: StateRecord[][]): Promise<void> {
  const storage = folderStorage(folder)
  for (const records of saves) await storage.save('room/s', records, newer)
  await storage.close?.()
}

test('records are read again, each state has a file of its own, and only the owner may read it', async (t) => {
  const folder = await folderOf(t)
  const first = folderStorage(folder)
  await first.save('room/a', [record('k', 'one'), record('gone', 'x')], newer)
  await first.save('room/a', [record('k', 'two', 2), record('gone', undefined, 2)], newer)
  await first.save('room/A', [record('k', 'upper')], newer)
  await first.save(`${'r'.repeat(96)}/${'%2E'.repeat(32)}`, [record('k', 'long')], newer)
  await first.close?.()
  const second = open(t, folder)
  assert.deepEqual(byKey(await second.load('room/a')), [record('gone', undefined, 2), record('k', 'two', 2)])
  assert.deepEqual(await second.load('room/A'), [record('k', 'upper')])
  assert.deepEqual(await second.load('room/other'), [])
  const names = await readdir(folder)
  assert.equal(new Set(names.map((name) => name.toLowerCase())).size, 4, 'three states and the lock')
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  for (const name of names) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name)
})

test('a stored record that is newer stays', async (t) => {
  const storage = open(t, await folderOf(t))
  await storage.save('room/s', [record('k', 'new', 5)], newer)
  await storage.save('room/s', [record('k', 'old', 4)], newer)
  assert.deepEqual(await storage.load('room/s'), [record('k', 'new', 5)])
})

test('a torn last line is left out at every length, and later records are stored', async (t) => {
  const folder = await folderOf(t)
  await store(folder, [record('a', '1')], [record('b', '2')])
  const path = await fileIn(folder)
  const whole = await readFile(path)
  const start = whole.lastIndexOf('\n', whole.byteLength - 2) + 1
  for (let length = start; length < whole.byteLength; length += 1) {
    await writeFile(path, whole)
    await truncate(path, length)
    const storage = folderStorage(folder)
    assert.deepEqual(await storage.load('room/s'), [record('a', '1')], `${length} bytes`)
    await storage.save('room/s', [record('c', '3')], newer)
    await storage.close?.()
    const again = folderStorage(folder)
    assert.deepEqual(byKey(await again.load('room/s')), [record('a', '1'), record('c', '3')])
    await again.close?.()
  }
})

test('a byte that changed anywhere costs one record at most', async (t) => {
  const folder = await folderOf(t)
  await store(folder, [record('a', '1'), record('b', '2'), record('c', '3')])
  const path = await fileIn(folder)
  const whole = await readFile(path)
  for (let at = 0; at < whole.byteLength; at += 1) {
    const damaged = Buffer.from(whole)
    damaged[at] = (damaged[at] ?? 0) ^ 0x55
    await writeFile(path, damaged)
    const storage = folderStorage(folder)
    const found = await storage.load('room/s')
    await storage.close?.()
    // A line end that is damaged joins two lines.
    assert.ok(found.length >= (whole[at] === 0x0a ? 1 : 2), `byte ${at}: ${found.length} records`)
    for (const { key, value } of found) assert.equal(value, { a: '1', b: '2', c: '3' }[key])
  }
})

test('a file stays small however often its keys are written', async (t) => {
  const folder = await folderOf(t)
  const storage = open(t, folder)
  const value = 'x'.repeat(10_000)
  for (let clock = 1; clock <= 200; clock += 1) await storage.save('room/s', [record('k', value, clock)], newer)
  assert.ok((await stat(await fileIn(folder))).size < 400_000)
  assert.equal((await storage.load('room/s'))[0]?.clock, 200)
})

test('a state is stored up to its bound of keys and no further', async (t) => {
  const storage = open(t, await folderOf(t))
  const all = Array.from({ length: STATE_KEYS_MAX }, (_, at) => record(`k${at}`, 'v'))
  await storage.save('room/s', all, newer)
  await assert.rejects(storage.save('room/s', [record('further', 'v')], newer), /full/)
  await storage.save('room/s', [record('k0', 'changed', 2)], newer)
  assert.equal((await storage.load('room/s')).length, STATE_KEYS_MAX)
})

test('a file beyond the largest size is not read into memory', async (t) => {
  const folder = await folderOf(t)
  await store(folder, [record('a', '1')])
  await truncate(await fileIn(folder), STATE_FILE_BYTES_MAX)
  assert.deepEqual(await folderStorage(folder).load('room/s'), [record('a', '1')])
  await truncate(await fileIn(folder), STATE_FILE_BYTES_MAX + 1)
  const other = join(folder, '..', 'other')
  await store(other, [record('a', '1')])
  await truncate(await fileIn(other), STATE_FILE_BYTES_MAX + 1)
  await assert.rejects(open(t, other).load('room/s'), /more than/)
})

test('a second process is told which process uses the folder, and gets it when that has ended', async (t) => {
  const folder = await folderOf(t)
  const module = new URL('../../src/platform/state-folder.js', import.meta.url).href
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', `
    const { folderStorage } = await import(${JSON.stringify(module)})
    await folderStorage(${JSON.stringify(folder)}).save('room/s', [${JSON.stringify(record('k', 'theirs'))}], (_, given) => given)
    console.log('held')
    setInterval(() => {}, 1000)
  `], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => { holder.kill('SIGKILL') })
  await new Promise((resolve) => { holder.stdout.once('data', resolve) })
  const storage = open(t, folder)
  await assert.rejects(storage.load('room/s'), new RegExp(`process ${holder.pid} uses the folder`))
  await assert.rejects(storage.save('room/s', [record('k', 'ours', 2)], newer), /uses the folder/)
  const ended = new Promise((resolve) => { holder.once('exit', resolve) })
  holder.kill('SIGKILL')
  await ended
  assert.deepEqual(await storage.load('room/s'), [record('k', 'theirs')])
  await storage.save('room/s', [record('k', 'ours', 2)], newer)
  assert.equal((await readdir(folder)).filter((name) => name.startsWith('lock-')).length, 1)
})

test('the lock of another machine holds while that machine refreshes it', async (t) => {
  const folder = await folderOf(t)
  await store(folder, [record('k', 'v')])
  const lock = join(folder, 'lock-1-5-6f74686572-000000000000')
  await writeFile(lock, '')
  await assert.rejects(open(t, folder).load('room/s'), /uses the folder/)
  const old = new Date(Date.now() - 61_000)
  await utimes(lock, old, old)
  assert.equal((await open(t, folder).load('room/s')).length, 1)
})

test('a storage whose lock was taken away reads the files again', async (t) => {
  const folder = await folderOf(t)
  const storage = open(t, folder)
  await storage.save('room/s', [record('k', 'one')], newer)
  const [lock] = (await readdir(folder)).filter((name) => name.startsWith('lock-'))
  await rm(join(folder, lock ?? ''))
  const other = await fileIn(folder)
  await truncate(other, 0)
  assert.deepEqual(await storage.load('room/s'), [])
})

test('nodes of one process share a folder, and the last one lets it go', async (t) => {
  const folder = await folderOf(t)
  const [one, two] = [folderStorage(folder), folderStorage(folder)]
  await one.save('room/s', [record('k', 'one')], newer)
  await two.save('room/s', [record('k', 'two', 2)], newer)
  await one.close?.()
  assert.deepEqual(await two.load('room/s'), [record('k', 'two', 2)])
  await two.close?.()
  assert.deepEqual((await readdir(folder)).filter((name) => name.startsWith('lock-')), [])
})

test('a removed file is written again with all records', async (t) => {
  const folder = await folderOf(t)
  const storage = open(t, folder)
  await storage.save('room/s', [record('a', '1')], newer)
  await rm(await fileIn(folder))
  await assert.rejects(storage.save('room/s', [record('b', '2')], newer), /ENOENT/)
  await storage.save('room/s', [record('b', '2')], newer)
  await storage.close?.()
  assert.equal((await open(t, folder).load('room/s')).length, 2)
})
