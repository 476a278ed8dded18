/** Serves the package's bundle and an empty page that uses it under a strict content security policy. */

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { AddressInfo } from 'node:net'

/** The policy that the README advises for pages that compute for others. */
const POLICY = "default-src 'none'; script-src 'self'; worker-src blob:; connect-src 'self'"

export interface Pages {
  url: string
  /** The requested paths. */
  asked: string[]
  close: () => void
}

/** @param connect the sources beside the page's own that its policy lets it connect to */
export async function servePages ({ connect = 'ws://127.0.0.1:*' }: { connect?: string } = {}): Promise<Pages> {
  const asked: string[] = []
  const server = createServer(async (request, response) => {
    const path = request.url ?? '/'
    asked.push(path)
    if (path === '/') {
      response.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': `${POLICY} ${connect}` })
      response.end('<!doctype html><link rel="icon" href="data:,"><title>page</title>')
      return
    }
    const file = fileURLToPath(new URL(`../../browser${path}`, import.meta.url))
    const bytes = /^\/[\w-]+\.js$/.test(path) ? await readFile(file).catch(() => undefined) : undefined
    response.writeHead(bytes === undefined ? 404 : 200, { 'content-type': 'text/javascript' }).end(bytes)
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

/** Builds and serves the examples by their script, which is not part of the package. */
export async function serveExamples (): Promise<{ url: string, close: () => void }> {
  const script = new URL('../../../scripts/examples.mjs', import.meta.url).href
  const { serveExamples } = await import(script) as {
    serveExamples: (port: number) => Promise<import('node:http').Server>
  }
  const server = await serveExamples(0)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}
