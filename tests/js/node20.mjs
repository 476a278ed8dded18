// This polyfill adds the functions of Node.js 22 that js-libp2p uses and Node.js 20 lacks.
Promise.withResolvers ??= function withResolvers () {
  let resolve, reject
  const promise = new this((...both) => { [resolve, reject] = both })
  return { promise, resolve, reject }
}

if (globalThis.WebSocket == null) {
  globalThis.WebSocket = (await import('ws')).WebSocket
}
if (globalThis.CustomEvent == null) {
  globalThis.CustomEvent = class CustomEvent extends Event {
    constructor (name, { detail, ...rest } = {}) {
      super(name, rest)
      this.detail = detail
    }
  }
}
