/**
 * This module implements the platform of Node.js: TCP and WebSocket, worker threads, key files.
 */

import './node20.js'
import { open, readFile, rename } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { tcp } from '@libp2p/tcp'
import { WebSocket } from 'ws'
import { endingWebSockets } from './web-sockets.js'
import type { ClientOptions } from 'ws'
import type { KeyStorage, Platform, TaskRun, TaskThread } from './platform.js'

/** The time that the other side has to answer the close frame of a WebSocket; `ws` waits 30 s. */
const SOCKET_OPTIONS: ClientOptions & { closeTimeout: number } = { closeTimeout: 300 }
/** The code with which libp2p asks for an end without a close frame. */
const ABNORMAL_CLOSURE = 1006

class NodeWebSocket extends WebSocket {
  override close (code?: number, reason?: string | Buffer): void {
    if (code === ABNORMAL_CLOSURE) this.terminate()
    else super.close(code, reason)
  }
}

const nodeWebSockets = endingWebSockets({
  begin: (url) => new NodeWebSocket(url, SOCKET_OPTIONS) as unknown as globalThis.WebSocket & NodeWebSocket,
  end: (socket) => { socket.terminate() }
})

export const platform: Platform = {
  name: 'node',
  listen: ['/ip4/0.0.0.0/tcp/0'],
  transports: () => [tcp(), nodeWebSockets()],
  processors: availableParallelism,
  startTask,
  keyStorage: async (path) => inFile(path),
  onOnline: () => () => {},
  onExit: () => () => {}
}

/**
 * The script of a worker thread. The task runs in a context without objects of Node.js: its input
 * is passed as source text, and its result is used only if it is text. The context has no timers,
 * so a task has ended when its microtasks have run. `node:vm` is still no security boundary, see
 * `compute/index.ts`.
 */
const THREAD = `
const { parentPort, workerData } = require('node:worker_threads')
const vm = require('node:vm')
const context = vm.createContext(Object.create(null), {
  codeGeneration: { strings: false, wasm: false },
  microtaskMode: 'afterEvaluate'
})
vm.runInContext(workerData.script, context, { filename: 'task' })
vm.runInContext('run(' + JSON.stringify(workerData.input) + ').then((text) => { answer = text })', context)
const answer = vm.runInContext('answer', context)
parentPort.postMessage(typeof answer === 'string' ? answer : '')
`

function startTask (run: TaskRun): TaskThread {
  const worker = new Worker(THREAD, {
    eval: true,
    env: {},
    stdin: false,
    stdout: false,
    workerData: { script: run.script, input: run.input },
    resourceLimits: { maxOldGenerationSizeMb: run.memoryMiB, maxYoungGenerationSizeMb: 16 }
  })
  worker.once('message', run.onAnswer)
  worker.once('error', (error) => { run.onFailure(error.message) })
  worker.once('exit', () => { run.onFailure('the thread ended without an answer') })
  return { stop: () => { void worker.terminate() } }
}

/**
 * Stores the key in a file. A temporary file is written and renamed, so that a crash leaves either
 * the old file or the new file.
 */
function inFile (path: string): KeyStorage {
  return {
    load: async () => {
      try {
        return await readFile(path, 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    save: async (text) => {
      const aside = `${path}.${process.pid}.tmp`
      const file = await open(aside, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(aside, path)
    }
  }
}
