/** This polyfill adds the functions of Node.js 22 that js-libp2p uses and Node.js 20 lacks. */

import { WebSocket } from 'ws'

type Resolvers<T> = {
  promise: Promise<T>
  resolve: (value: T | PromiseLike<T>) => void
  reject: (reason?: unknown) => void
}

function withResolvers<T> (): Resolvers<T> {
  let resolve!: Resolvers<T>['resolve']
  let reject!: Resolvers<T>['reject']
  const promise = new Promise<T>((...both) => { [resolve, reject] = both })
  return { promise, resolve, reject }
}

Promise.withResolvers ??= withResolvers as typeof Promise.withResolvers
/**
 * A WebSocket whose failure ends no process. `ws` throws an error that has no listener, and libp2p
 * removes its listener from a connection attempt that it gives up; standard WebSockets ignore such
 * an error.
 */
class StandardWebSocket extends WebSocket {
  constructor (...settings: ConstructorParameters<typeof WebSocket>) {
    super(...settings)
    this.on('error', () => {})
  }
}

globalThis.WebSocket ??= StandardWebSocket as unknown as typeof globalThis.WebSocket
