/**
 * This module implements the platform of Node.js: worker threads and state files.
 */

import { setMaxListeners } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { folderStorage } from './state-folder.js'
import type { Platform, TaskRun, TaskThread } from './platform.js'

export const platform: Platform = {
  name: 'node',
  listen: ['/ip4/0.0.0.0/tcp/0'],
  processors: availableParallelism,
  startTask,
  stateStorage: folderStorage,
  allowListeners: (signal) => { setMaxListeners(0, signal) },
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
