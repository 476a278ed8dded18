/** `SlowProxy` passes TCP connections on to a port of this machine, with few bytes a second. */

import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

export class SlowProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** The bytes that went through, in both directions. */
  bytes = 0

  private constructor (to: { host: string, port: number }, bytesPerSecond: number) {
    this.#server = createServer((near) => {
      const far = connect(to)
      this.#pass(near, far, bytesPerSecond)
      this.#pass(far, near, bytesPerSecond)
    })
  }

  static async start (to: { host: string, port: number }, bytesPerSecond: number): Promise<SlowProxy> {
    const proxy = new SlowProxy(to, bytesPerSecond)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port (): number {
    return (this.#server.address() as AddressInfo).port
  }

  stop (): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #pass (from: Socket, to: Socket, bytesPerSecond: number): void {
    this.#sockets.add(from)
    let due = Date.now()
    from.on('data', (bytes) => {
      this.bytes += bytes.byteLength
      to.write(bytes)
      from.pause()
      due = Math.max(due, Date.now()) + bytes.byteLength / bytesPerSecond * 1000
      setTimeout(() => { from.resume() }, due - Date.now())
    })
    from.on('end', () => { to.end() })
    from.on('error', () => { to.destroy() })
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
  }
}
