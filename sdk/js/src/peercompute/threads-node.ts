/** This module starts threads in Node.js. */

import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { threadScript } from './thread.js'
import type { TaskCode, Thread, ThreadAnswer, ThreadListener } from './thread.js'

const LISTEN = `
const { parentPort } = require('node:worker_threads')
parentPort.on('message', async (call) => {
  const message = await answer(call)
  try {
    parentPort.postMessage(message)
  } catch (error) {
    parentPort.postMessage({ id: call.id, ok: false, message: String(error.message) })
  }
})
`

export function processors (): number {
  return availableParallelism()
}

/** The URL of a module; a path is relative to the working directory. */
export function moduleUrl (module: string): string {
  return new URL(module, pathToFileURL(`${process.cwd()}/`)).href
}

export function startThread (code: TaskCode, listener: ThreadListener): Thread {
  const worker = new Worker(`${threadScript(code)}${LISTEN}`, { eval: true, stdin: false })
  worker.on('message', (answer: ThreadAnswer) => { listener.onAnswer(answer) })
  worker.once('error', (error: Error) => { listener.onFailure(error.message) })
  worker.once('exit', () => { listener.onFailure('the thread ended') })
  worker.unref()
  return {
    post: (call) => { worker.postMessage(call) },
    hold: (held) => { if (held) worker.ref(); else worker.unref() },
    stop: () => { void worker.terminate() }
  }
}
