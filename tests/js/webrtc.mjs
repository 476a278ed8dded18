// A client that supports only WebRTC-direct makes a reservation; another client over WebSocket
// reaches it over the circuit, before and after a restart of the relay. The script prints `ready`,
// waits for a line on stdin, and continues.
//
//   node webrtc.mjs <relay by WebRTC-direct> <relay by WebSocket>

import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { webRTCDirect } from '@libp2p/webrtc'
import { multiaddr } from '@multiformats/multiaddr'
import { circuit, echo, start, until } from './client.mjs'

const [byWebRtc, byWebSocket] = process.argv.slice(2)
const meet = async () => {
  const holder = await start(byWebRtc, { discover: false, transports: [webRTCDirect()] })
  const [connection] = holder.getConnections()
  await until('the reservation', () => circuit(holder) != null)
  const caller = await start(byWebSocket, { discover: false, reserve: false })
  const over = await caller.dial(multiaddr(`${byWebSocket}/p2p-circuit/p2p/${holder.peerId}`))
  // js-libp2p accepts at most ten streams until the connection is set up.
  await echo(over, randomBytes(100))
  const echoes = await Promise.all(Array.from({ length: 16 }, async () => {
    const payload = randomBytes(64 * 1024)
    return Buffer.compare(await echo(over, payload), payload) === 0
  }))
  await over.close()
  await caller.stop()
  return { holder, connection, echoes: echoes.filter(Boolean).length }
}

const before = await meet()
console.log('ready')
for await (const _ of createInterface({ input: process.stdin })) break

// The restarted relay does not know the connection; the client notices the loss by its pings.
const lost = await until('the end of the connection', () => before.connection.status !== 'open', 60)
const after = await meet()
console.log(JSON.stringify({
  via: [before, after].map(({ connection }) => connection.remoteAddr.toString().includes('/webrtc-direct/')),
  lost, echoes: [before.echoes, after.echoes]
}))
process.exit(0)
