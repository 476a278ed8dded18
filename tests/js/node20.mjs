// What js-libp2p takes from Node.js 22 and Node.js 20 lacks.
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
