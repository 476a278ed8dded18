/** This module starts threads in browsers: workers from a blob, which need `worker-src blob:`. */

import { threadScript } from './thread.js'
import type { TaskCode, Thread, ThreadAnswer, ThreadListener } from './thread.js'

const LISTEN = `
self.onmessage = async ({ data }) => {
  const message = await answer(data)
  try {
    postMessage(message)
  } catch (error) {
    postMessage({ id: data.id, ok: false, message: String(error.message) })
  }
}
`

export function processors (): number {
  return navigator.hardwareConcurrency || 1
}

/** The absolute URL of a module. */
export function moduleUrl (module: string): string {
  return new URL(module, globalThis.document?.baseURI ?? globalThis.location.href).href
}

export function startThread (code: TaskCode, listener: ThreadListener): Thread {
  const url = URL.createObjectURL(new Blob([threadScript(code), LISTEN], { type: 'text/javascript' }))
  const worker = new Worker(url, { type: 'module', name: 'peerwork-thread' })
  worker.addEventListener('message', (event: MessageEvent<ThreadAnswer>) => { listener.onAnswer(event.data) })
  worker.addEventListener('error', (event) => {
    event.preventDefault()
    listener.onFailure(event.message || 'the thread could not start')
  })
  return {
    post: (call) => { worker.postMessage(call) },
    hold: () => {},
    stop: () => {
      worker.terminate()
      URL.revokeObjectURL(url)
    }
  }
}
