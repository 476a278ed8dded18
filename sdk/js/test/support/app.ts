/** `App` is a web app that the tests call through the tunnel. */

import { createServer } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export class App {
  readonly #server: Server
  /** The received requests, as `METHOD path`. */
  readonly seen: string[] = []

  private constructor () {
    this.#server = createServer((request, response) => {
      // A caller that disconnects causes an error of its request.
      this.#answer(request, response).catch(() => { response.destroy() })
    })
  }

  static async start (): Promise<App> {
    const app = new App()
    await new Promise<void>((resolve) => app.#server.listen(0, '127.0.0.1', resolve))
    return app
  }

  get port (): number {
    return (this.#server.address() as AddressInfo).port
  }

  async stop (): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://app')
    this.seen.push(`${request.method} ${request.url}`)
    switch (url.pathname) {
      case '/echo':
        return await echo(request, response)
      case '/redirect':
        response.writeHead(302, { location: '/echo?from=redirect' }).end()
        return
      case '/elsewhere':
        response.writeHead(302, { location: 'http://elsewhere.example/' }).end()
        return
      case '/gzip':
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' })
        response.end(gzipSync('squeezed'))
        return
      case '/empty':
        response.writeHead(204).end()
        return
      case '/large':
        return await large(response, Number(url.searchParams.get('bytes')))
      case '/events':
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: 1\n\n')
        request.socket.once('close', () => { this.seen.push('events ended') })
        return
      case '/cut':
        response.writeHead(200, { 'content-length': '1000' })
        response.write('short')
        setImmediate(() => request.socket.destroy())
        return
      case '/silent':
        return
      default:
        response.writeHead(404, { 'content-type': 'text/plain' }).end('not here')
    }
  }
}

async function echo (request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  response.writeHead(201, { 'content-type': 'application/json', 'x-method': request.method })
  response.end(JSON.stringify({
    method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(parts).toString('latin1')
  }))
}

async function large (response: ServerResponse, bytes: number): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  const piece = Buffer.alloc(64 * 1024, 7)
  for (let sent = 0; sent < bytes; sent += piece.length) {
    if (!response.write(piece.subarray(0, bytes - sent))) {
      await new Promise((resolve) => response.once('drain', resolve))
    }
  }
  response.end()
}
