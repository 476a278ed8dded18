/**
 * This module implements the platform of browsers: blob workers, IndexedDB, and the events of the
 * page.
 */

import { databaseStorage } from './state-database.js'
import type { Platform, TaskRun, TaskThread } from './platform.js'

export const platform: Platform = {
  name: 'browser',
  listen: ['/webrtc'],
  processors: () => navigator.hardwareConcurrency || 1,
  startTask,
  stateStorage: databaseStorage,
  allowListeners: () => {},
  onOnline: (listener) => onWindow('online', listener),
  onExit: (listener) => onWindow('pagehide', listener)
}

function onWindow (name: string, listener: () => void): () => void {
  globalThis.addEventListener?.(name, listener)
  return () => { globalThis.removeEventListener?.(name, listener) }
}

/**
 * A script that removes the network and storage interfaces from a task. It is no security boundary:
 * `import()` remains.
 */
const CLOSED = `
for (const name of ['fetch', 'XMLHttpRequest', 'WebSocket', 'WebSocketStream', 'EventSource',
  'WebTransport', 'RTCPeerConnection', 'importScripts', 'indexedDB', 'caches', 'BroadcastChannel',
  'Worker', 'SharedWorker', 'navigator', 'Notification']) {
  for (let object = self; object !== null; object = Object.getPrototypeOf(object)) {
    try { delete object[name] } catch {}
  }
  try { Object.defineProperty(self, name, { value: undefined }) } catch {}
}
`

const LISTEN = `
self.onmessage = ({ data }) => { run(data).then((text) => { postMessage(text) }) }
`

/**
 * Starts one worker for one task. The task's source is part of the blob and is not evaluated, so
 * that a page needs `worker-src blob:` in its content security policy but no `unsafe-eval`.
 */
function startTask (run: TaskRun): TaskThread {
  const parts = [CLOSED, run.script, LISTEN]
  const url = URL.createObjectURL(new Blob(parts, { type: 'text/javascript' }))
  const worker = new Worker(url, { name: 'peerwork-task' })
  const stop = (): void => {
    worker.terminate()
    URL.revokeObjectURL(url)
  }
  worker.addEventListener('message', (event) => { run.onAnswer(event.data) })
  worker.addEventListener('error', (event) => {
    event.preventDefault()
    run.onFailure(event.message || 'the worker could not start')
  })
  worker.postMessage(run.input)
  return { stop }
}
