// Finds the Rust program `peerwork`, and starts and ends child processes.

import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
const repository = join(root, '../..')
const NAME = process.platform === 'win32' ? 'peerwork.exe' : 'peerwork'
/** The time that a process has to end after a signal. */
const STOP_MS = 5_000
/** The interval at which a script looks whether npm is still there. */
const PARENT_MS = 300

function isProgram (path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** PEERWORK_BIN as an absolute path: npm runs scripts in the package, and tells where the user called it by INIT_CWD. */
export function namedProgram (env = process.env) {
  return env.PEERWORK_BIN ? resolve(env.INIT_CWD ?? '.', env.PEERWORK_BIN) : undefined
}

/**
 * The program: PEERWORK_BIN, or the newest build of this repository, or `peerwork` of PATH.
 * Throws an error that says how to build it.
 */
export function findProgram (env = process.env) {
  const named = namedProgram(env)
  if (named !== undefined) {
    if (!isProgram(named)) throw new Error(`PEERWORK_BIN=${named} is no program`)
    return named
  }
  const target = env.CARGO_TARGET_DIR ?? join(repository, 'target')
  const built = ['release', 'debug'].map((profile) => join(target, profile, NAME)).filter(isProgram)
  const [newest] = built.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  const found = newest ?? (env.PATH ?? '').split(delimiter).map((folder) => join(folder, NAME)).find(isProgram)
  if (found !== undefined) return found
  throw new Error(`there is no program peerwork: build it by \`cargo build --release -p peerwork\` in ${repository}, ` +
    'or name one in PEERWORK_BIN')
}

/** Resolves with the exit code of a process; 128 and the number of the signal that ended it. */
export async function exitOf (child) {
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => { resolve(code ?? 128 + ({ SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 0)) })
  })
}

/** Starts a process in a group of its own, which `stop` ends with all processes that it started. */
export function startGroup (command, args, options = {}) {
  const child = spawn(command, args, { ...options, detached: true })
  const exited = exitOf(child)
  exited.catch(() => {})
  const signal = (name) => {
    try {
      process.kill(-child.pid, name)
    } catch {
      // The group has ended.
    }
  }
  const stop = async () => {
    if (child.pid === undefined) return
    signal('SIGTERM')
    const timer = setTimeout(() => { signal('SIGKILL') }, STOP_MS)
    await exited.catch(() => {})
    clearTimeout(timer)
    // A process of the group may outlive the first one.
    signal('SIGKILL')
  }
  return { child, exited, stop }
}

/**
 * Calls `end` once with the signal, at the first signal or when npm has ended, and exits with the code of the signal.
 * A signal to npm ends the shell between npm and this script, but does not reach this script.
 */
export function onSignals (end) {
  let ending = false
  const finish = async (name, number) => {
    if (ending) return
    ending = true
    await end(name)
    process.exit(128 + number)
  }
  for (const [name, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
    process.on(name, () => { void finish(name, number) })
  }
  const parent = process.ppid
  const timer = setInterval(() => { if (process.ppid !== parent) void finish('SIGTERM', 15) }, PARENT_MS)
  timer.unref()
  // A script that was started without npm may outlive the shell that started it.
  if (process.env.npm_lifecycle_event === undefined) clearInterval(timer)
}

/** Prints an error of these scripts and exits. */
export function fail (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exit(1)
}
