/** Node.js: TCP and WebSocket, worker threads, key files. */

import './node20.js'
import { open, readFile, rename } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import type { KeyStorage, Platform, TaskRun, TaskThread } from './platform.js'

export const platform: Platform = {
  name: 'node',
  listen: ['/ip4/0.0.0.0/tcp/0'],
  transports: () => [tcp(), webSockets()],
  processors: availableParallelism,
  startTask,
  keyStorage: async (path) => inFile(path),
  onOnline: () => () => {},
  onExit: () => () => {}
}

/**
 * The task runs in a context that holds no object of Node.js: text goes in as source, and what comes
 * out is used only if it is text. Without timers a task is done when its microtasks are.
 * `node:vm` is no security boundary all the same, see `compute/index.ts`.
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

/** Written aside and renamed, so that a crash leaves the old file or the new one. */
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
