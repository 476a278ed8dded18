// Starts the relay of the Rust program on free ports, runs the browser tests against it, and ends
// all processes, also after a failure, Ctrl-C or SIGTERM.
//
//   npm run test:with-relay -- [--no-build] [part of a file's name]

import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fail, findProgram, onSignals, root, startGroup } from './program.mjs'

/** The time in which the relay must announce its addresses. */
const READY_MS = 30_000
const words = process.argv.slice(2)
const part = words.find((word) => word !== '--no-build') ?? ''
const builds = words.includes('--no-build') ? [] : [['build.mjs'], ['examples.mjs', '--build-only']]
const groups = []
let folder

async function end () {
  await Promise.all(groups.map(async ({ stop }) => { await stop() }))
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
}

/** Runs a program to its end; returns its exit code. */
async function run (args, env = process.env) {
  const group = startGroup(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] })
  groups.push(group)
  return await group.exited
}

/** Starts the relay; returns its addresses for pages and for programs. */
async function startRelay (program) {
  folder = await mkdtemp(join(tmpdir(), 'peerwork-with-relay-'))
  const group = startGroup(program, ['relay', '--data-dir', folder, '--websocket', '127.0.0.1:0', '--tcp', '127.0.0.1:0'],
    { stdio: ['ignore', 'pipe', 'pipe'] })
  groups.push(group)
  const lines = []
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => { reject(new Error(`the relay is not ready:\n${lines.join('\n')}`)) }, READY_MS)
    group.exited.then((code) => { reject(new Error(`the relay ended with code ${code}:\n${lines.join('\n')}`)) }, reject)
    for (const stream of [group.child.stdout, group.child.stderr]) {
      createInterface(stream).on('line', (line) => {
        lines.push(line)
        const all = lines.flatMap((one) => /(?:Relay Address|For programs): (\S+)/.exec(one)?.[1] ?? [])
        const addresses = [all.find((one) => /\/ws\/p2p\//.test(one)), all.find((one) => /\/tcp\/\d+\/p2p\//.test(one))]
        if (addresses.includes(undefined)) return
        clearTimeout(timer)
        resolve(addresses)
      })
    }
  })
}

/** The test files that use a browser. */
async function browserTests () {
  const names = (await readdir(join(root, 'test/integration'))).filter((name) => name.endsWith('.test.ts') && name.includes(part))
  const texts = await Promise.all(names.map((name) => readFile(join(root, 'test/integration', name), 'utf8')))
  const found = names.filter((_, at) => texts[at].includes('support/browser.js')).sort()
  if (found.length === 0) throw new Error(`no browser test has "${part}" in its name`)
  return found.map((name) => join(root, 'dist/test/integration', name.replace(/\.ts$/, '.js')))
}

onSignals(end)
try {
  const [program, files] = [findProgram(), await browserTests()]
  for (const script of builds) {
    const code = await run([join(root, 'scripts', script[0]), ...script.slice(1)])
    if (code !== 0) throw new Error(`${script[0]} failed`)
  }
  const addresses = await startRelay(program)
  console.log(`relay: ${addresses[0]}`)
  const env = { ...process.env, PEERWORK_BIN: program, PEERWORK_RUNNING_RELAY: addresses.join(' ') }
  const code = await run(['--test', '--test-concurrency=1', '--test-timeout=600000', '--test-reporter=spec', ...files], env)
  await end()
  process.exit(code)
} catch (error) {
  await end()
  fail(error)
}
