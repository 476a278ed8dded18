/** Tests the scripts of package.json as a developer runs them, by npm. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { launch, openPage } from '../support/browser.js'
import { Process } from '../support/process.js'
import { Relay, isRust } from '../support/relay.js'
import { until } from '../support/until.js'
import type { AddressInfo } from 'node:net'

const rust = { skip: isRust && process.platform === 'linux' ? false : 'PEERWORK_BIN names no program, or this is not Linux' }
const root = fileURLToPath(new URL('../../../', import.meta.url))
let folder: string

before(async () => { folder = await mkdtemp(join(tmpdir(), 'peerwork-scripts-')) })
after(async () => { await rm(folder, { recursive: true }) })

const clean = (more: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  // The test runner tells its children by a variable that they are its children.
  const { NODE_TEST_CONTEXT: _, PEERWORK_RUNNING_RELAY: __, ...env } = process.env
  return { ...env, ...more }
}

const npm = (script: string, args: string[], more: NodeJS.ProcessEnv = {}): Process => {
  return new Process('npm', ['--prefix', root, 'run', script, '--', ...args], clean(more))
}

/** The commands of the processes that inherited an environment with this text. */
async function inheritors (text: string): Promise<string[]> {
  const found = await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(async (pid) => {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    return environment.includes(text) ? [`${pid} ${await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')}`] : []
  }))
  return found.flat()
}

const ports = ['--websocket', '127.0.0.1:0', '--tcp', '127.0.0.1:0']

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`the relay of npm run relay ends cleanly by ${signal}, and keeps its id`, rust, async () => {
    const args = [...ports, '--data-dir', join(folder, signal)]
    const ids: string[] = []
    for (const round of [1, 2]) {
      const mark = `PEERWORK_TEST_MARK=${signal}-${round}-${process.pid}`
      // As in a terminal, where Ctrl-C reaches every process of the group.
      const child = spawn('npm', ['--prefix', root, 'run', 'relay', '--', ...args],
        { detached: true, env: clean({ PEERWORK_TEST_MARK: mark.split('=')[1] }), stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => { output += bytes.toString() })
      const exited = new Promise((resolve) => { child.once('exit', resolve) })
      ids.push(await until('the address', () => /Relay Address: \S+\/p2p\/(\w+)/.exec(output)?.[1]))
      if (signal === 'SIGINT') process.kill(-(child.pid ?? 0), 'SIGINT')
      else child.kill(signal)
      await exited
      await until('all processes to end', async () => (await inheritors(mark)).length === 0, 10_000)
      assert.match(output, /shutting down/)
    }
    assert.equal(ids[0], ids[1])
  })
}

test('without a program the scripts say how to build it', async () => {
  for (const script of ['relay', 'test:with-relay']) {
    const { PATH: path = '' } = process.env
    // The folder of Node.js may hold a program of the system.
    const env = { PEERWORK_BIN: join(folder, 'nothing'), CARGO_TARGET_DIR: join(folder, 'empty'), PATH: path }
    await assert.rejects(npm(script, [], env).line(/never/), /is no program/)
  }
  const { findProgram } = await import(join(root, 'scripts/program.mjs')) as { findProgram: (env: NodeJS.ProcessEnv) => string }
  assert.throws(() => findProgram({ CARGO_TARGET_DIR: join(folder, 'empty'), PATH: folder }), /cargo build --release -p peerwork/)
})

test('the newest build is taken before the program of PATH', async () => {
  const { findProgram } = await import(join(root, 'scripts/program.mjs')) as { findProgram: (env: NodeJS.ProcessEnv) => string }
  const name = process.platform === 'win32' ? 'peerwork.exe' : 'peerwork'
  const make = async (parent: string, age: number): Promise<string> => {
    await mkdir(parent, { recursive: true })
    const path = join(parent, name)
    await writeFile(path, '')
    await chmod(path, 0o755)
    const time = new Date(Date.now() - age)
    await utimes(path, time, time)
    return path
  }
  const env = { CARGO_TARGET_DIR: join(folder, 'target'), PATH: join(folder, 'bin') }
  const inPath = await make(join(folder, 'bin'), 0)
  assert.equal(findProgram(env), inPath)
  const release = await make(join(folder, 'target/release'), 60_000)
  assert.equal(findProgram(env), release)
  const debug = await make(join(folder, 'target/debug'), 30_000)
  assert.equal(findProgram(env), debug)
  assert.equal(findProgram({ ...env, PEERWORK_BIN: inPath }), inPath)
})

test('PEERWORK_BIN counts from the folder of the user, and an empty one does not count', async () => {
  const { findProgram } = await import(join(root, 'scripts/program.mjs')) as { findProgram: (env: NodeJS.ProcessEnv) => string }
  const program = join(folder, 'named')
  await writeFile(program, '')
  await chmod(program, 0o755)
  assert.equal(findProgram({ PEERWORK_BIN: './named', INIT_CWD: folder }), program)
  assert.throws(() => findProgram({ PEERWORK_BIN: './other', INIT_CWD: folder }), (error: Error) => error.message.includes(`${join(folder, 'other')} is no program`))
  assert.throws(() => findProgram({ PEERWORK_BIN: '', CARGO_TARGET_DIR: join(folder, 'empty'), PATH: '' }), /cargo build/)
})

test('the package builds in a folder whose path has spaces and other letters', async () => {
  const copy = join(folder, 'an é %41 folder')
  await mkdir(copy)
  for (const name of ['examples', 'package.json', 'scripts', 'src', 'test', 'tsconfig.json']) {
    await cp(join(root, name), join(copy, name), { recursive: true, filter: (path) => path !== join(root, 'examples/dist') })
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  const build = new Process('npm', ['--prefix', copy, 'run', 'examples', '--', '0'], clean({}))
  try {
    const [, url = ''] = await build.line(/^(http:\/\/127\.0\.0\.1:\d+\/)/, 120_000)
    const page = await (await fetch(`${url}chat/`)).text()
    assert.match(page, /<title>/)
    const program = await fetch(`${url}chat/main.js`)
    assert.equal(program.status, 200)
    await program.body?.cancel()
  } finally {
    await build.stop()
  }
})

/** Sends a request as it is, and returns the status of the answer. */
async function statusOf (port: number, target: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  let answer = ''
  for await (const bytes of socket) answer += String(bytes)
  return answer.split(' ')[1] ?? ''
}

test('npm run dev answers malformed requests, and goes on', async () => {
  const dev = npm('dev', ['0'])
  try {
    const [, port = ''] = await dev.line(/http:\/\/127\.0\.0\.1:(\d+)\/ /)
    const targets = ['/%ff', '/%00', '//', '/../../package.json', '/%2e%2e%2f%2e%2e%2fpackage.json', '/nothing']
    const found = await Promise.all(targets.map(async (target) => await statusOf(Number(port), target)))
    assert.deepEqual(found, ['400', '400', '200', '404', '404', '404'])
    assert.equal(await statusOf(Number(port), '/'), '200')
  } finally {
    await dev.stop()
  }
})

test('npm run dev serves pages that need no parameter, and builds again after a change', rust, async () => {
  const relay = await Relay.start(['--no-peer-log'])
  const port = /\/tcp\/(\d+)/.exec(relay.webSocket)?.[1] ?? ''
  const dev = npm('dev', ['0', '--relay', `http://127.0.0.1:${port}`])
  const browser = await launch()
  try {
    const [, url = ''] = await dev.line(/(http:\/\/127\.0\.0\.1:\d+\/) /)
    await dev.line(/^built at/)
    const page = await openPage(browser, `${url}chat/?name=Ada`)
    await page.locator('#status[data-state=connected]').waitFor()
    const main = join(root, 'examples/chat/main.ts')
    await utimes(main, new Date(), new Date())
    await until('the next build', () => (dev.output.match(/^built at/gm)?.length ?? 0) > 1)
  } finally {
    await browser.close()
    await dev.stop()
    await relay.remove()
  }
})

test('npm run dev says when its port is taken, and when there is no relay', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => { taken.listen(0, '127.0.0.1', resolve) })
  const { port } = taken.address() as AddressInfo
  await npm('dev', [String(port)]).line(new RegExp(`port ${port} is taken.*npm run dev -- ${port + 1}`))
  const silent = createServer()
  await new Promise<void>((resolve) => { silent.listen(0, '127.0.0.1', resolve) })
  const { port: silentPort } = silent.address() as AddressInfo
  const dev = npm('dev', ['0', '--relay', `http://127.0.0.1:${port}`])
  const browser = await launch()
  try {
    const [, url = ''] = await dev.line(/(http:\/\/127\.0\.0\.1:\d+\/) /)
    await dev.line(/^built at/)
    taken.close()
    const answer = await fetch(`${url}relay-config.json`)
    assert.equal(answer.status, 404)
    assert.match(await answer.text(), /npm run relay/)
    const page = await openPage(browser, `${url}chat/`)
    await page.getByRole('alert').getByText('start one by npm run relay').waitFor()
    // A relay that never answers: the page says that it joins, and nobody joins twice.
    await page.getByLabel('Relay').fill(`/ip4/127.0.0.1/tcp/${silentPort}/ws/p2p/12D3KooWMTocLVb243eanESWBN3thdYVTJHGCJjo7jUbdoaxa8fC`)
    await page.getByLabel('Your name').fill('Ada')
    await page.getByRole('button', { name: 'Join' }).click()
    await page.getByRole('status').getByText('joining…').waitFor()
    assert.ok(await page.getByRole('button', { name: 'Join' }).isDisabled())
  } finally {
    await browser.close()
    silent.close()
    await dev.stop()
  }
})

test('npm run test:with-relay runs browser tests against one relay, and leaves no process', rust, async () => {
  const mark = `PEERWORK_TEST_MARK=with-${process.pid}`
  const run = npm('test:with-relay', ['--no-build', 'browser.test'], { PEERWORK_TEST_MARK: mark.split('=')[1] })
  await run.line(/^relay: \/ip4\//)
  await run.line(/^ℹ fail 0/, 180_000)
  await until('all processes to end', async () => (await inheritors(mark)).length === 0)
  assert.match(run.output, /ℹ pass [1-9]/)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`npm run test:with-relay leaves no process when ${signal} ends it`, rust, async () => {
    const mark = `PEERWORK_TEST_MARK=${signal}-with-${process.pid}`
    const child = spawn('npm', ['--prefix', root, 'run', 'test:with-relay', '--', '--no-build', 'browser.test'],
      { detached: true, env: clean({ PEERWORK_TEST_MARK: mark.split('=')[1] }), stdio: 'ignore' })
    const exited = new Promise((resolve) => { child.once('exit', resolve) })
    await until('the browser', async () => (await inheritors(mark)).some((command) => command.includes('--remote-debugging')))
    if (signal === 'SIGINT') process.kill(-(child.pid ?? 0), 'SIGINT')
    else child.kill(signal)
    await exited
    // The tests themselves would take longer than this.
    await until('all processes to end', async () => (await inheritors(mark)).length === 0, 8_000)
  })
}
