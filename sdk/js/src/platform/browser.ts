/**
 * This module implements the platform of browsers: WebSocket and WebRTC (to pages and to relays),
 * blob workers, localStorage.
 */

import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { endingWebSockets } from './web-sockets.js'
import type { KeyStorage, Platform, TaskRun, TaskThread } from './platform.js'

/**
 * The number of pages of one origin that can be open at once, each with an identity of its own.
 */
const SLOTS = 16

export const platform: Platform = {
  name: 'browser',
  listen: ['/webrtc'],
  transports: ({ iceServers }) => [
    endingWebSockets({ begin: (url) => new WebSocket(url), end: (socket) => { socket.close() } })(), webRTCDirect(), webRTC({ rtcConfiguration: async () => ({ iceServers: iceServers() }) })
  ],
  processors: () => navigator.hardwareConcurrency || 1,
  startTask,
  keyStorage,
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

/**
 * Takes the first slot that no other page of this origin holds. The Web Lock of the slot is held
 * until the page ends. Pages without Web Locks (which need a secure context) share the first slot.
 */
async function keyStorage (name: string): Promise<KeyStorage> {
  for (let slot = 0; slot < SLOTS; slot += 1) {
    const key = `peerwork-identity:${name}:${slot}`
    if (await takeLock(key)) return inLocalStorage(key)
  }
  return { load: async () => undefined, save: async () => {} }
}

async function takeLock (name: string): Promise<boolean> {
  if (navigator.locks === undefined) return true
  return await new Promise<boolean>((resolve, reject) => {
    navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
      resolve(lock !== null)
      if (lock !== null) await new Promise<never>(() => {})
    }).catch(reject)
  })
}

function inLocalStorage (key: string): KeyStorage {
  return {
    load: async () => localStorage.getItem(key) ?? undefined,
    save: async (text) => { localStorage.setItem(key, text) }
  }
}
