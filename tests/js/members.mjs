// A relay accepts members only: one client sends the right token and gets a reservation, another
// sends a wrong token and is refused.
//
//   node members.mjs <relay by WebSocket> <token>

import { multiaddr } from '@multiformats/multiaddr'
import { circuit, start, until } from './client.mjs'

const [relay, token] = process.argv.slice(2)

const show = async (node, token) => {
  const [connection] = node.getConnections()
  const stream = await connection.newStream('/peerwork/access/1')
  const answer = new Promise((resolve, reject) => {
    const bytes = []
    stream.addEventListener('message', ({ data }) => {
      bytes.push(...data.subarray())
      if (bytes.length >= 2) resolve(bytes)
    })
    stream.addEventListener('close', ({ error }) => { reject(error ?? new Error('no answer')) })
  })
  const secret = new TextEncoder().encode(token)
  stream.send(Uint8Array.from([secret.length >> 8, secret.length & 255, ...secret]))
  const [busy, known] = await answer
  return busy === 0 && known === 1
}

const [member, stranger] = await Promise.all([start(relay, { discover: false }), start(relay, { discover: false })])
const shown = [await show(member, token), await show(stranger, `${token}?`)]
// js-libp2p asks for a reservation again when it reconnects.
for (const node of [member, stranger]) {
  await node.hangUp(node.getConnections()[0].remotePeer)
  await node.dial(multiaddr(relay))
}
await until('the place of the member', () => circuit(member) != null)
console.log(JSON.stringify({ shown, stranger: circuit(stranger) != null }))
process.exit(0)
