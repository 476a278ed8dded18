/** Serves a page with Yjs, y-indexeddb and the package, bundled with one copy of Yjs. */

import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { AddressInfo } from 'node:net'
import type { Pages } from './pages.js'

const PROGRAM = `
import * as Y from 'yjs'
import { IndexeddbPersistence, fetchUpdates } from 'y-indexeddb'
import { PeerworkNode } from 'peerwork'
import { PeerworkProvider } from 'peerwork/yjs'

globalThis.openDoc = async ({ relay, room, name, stored }) => {
  globalThis.doc = new Y.Doc()
  const persistence = stored === undefined ? undefined : new IndexeddbPersistence(stored, doc)
  await persistence?.whenSynced
  // A read of the store waits for the writes before it.
  globalThis.untilStored = async () => { await fetchUpdates(persistence) }
  globalThis.node = await PeerworkNode.join({ relays: [relay], room, name })
  globalThis.provider = new PeerworkProvider(node, doc, { name: 'text' })
  provider.awareness.setLocalStateField('user', { name })
  await provider.whenSynced
}
`

export async function serveYjsPages (): Promise<Pages> {
  const resolveDir = fileURLToPath(new URL('../../../test', import.meta.url))
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir }, bundle: true, format: 'esm', platform: 'browser', target: 'es2022', write: false
  })
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '/')
    const isScript = request.url === '/page.js'
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' })
    response.end(isScript
      ? outputFiles[0]?.contents
      : '<!doctype html><link rel="icon" href="data:,"><title>page</title><script type="module" src="/page.js"></script>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked,
    close: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}
