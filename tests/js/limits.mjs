// The script checks what a relay with two reservations and small circuits grants and refuses. Each
// case is at a limit and one above.
//
//   node limits.mjs <relay by WebSocket> <bytes of a circuit> <seconds of a circuit> <validity in seconds>

import { randomBytes } from 'node:crypto'
import { ECHO, circuit, echo, start, until } from './client.mjs'

const [relay, bytes, seconds, validity] = process.argv.slice(2)
const discover = false
const [one, two] = await Promise.all([start(relay, { discover }), start(relay, { discover })])
await until('two places', () => circuit(one) != null && circuit(two) != null)
const third = await start(relay, { discover })
const refused = await until('the refusal', async () => {
  await new Promise((resolve) => setTimeout(resolve, 1000))
  return circuit(third) == null
})

const caller = await start(relay, { discover, reserve: false })
const fits = await caller.dial(circuit(one))
// The limit counts the bytes of both directions and of the handshakes: a quarter in each direction
// stays below it.
const quarter = randomBytes(Number(bytes) / 4)
const within = Buffer.compare(await echo(fits, quarter), quarter) === 0
const above = await echo(fits, randomBytes(Number(bytes))).then(() => 'passed', () => 'cut')
await caller.hangUp(one.peerId)

const timed = await caller.dial(circuit(two))
const began = performance.now()
const stream = await timed.newStream(ECHO, { runOnLimitedConnection: true })
await new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))
const lasted = (performance.now() - began) / 1000

// js-libp2p renews a reservation after thirty seconds at the earliest.
const started = Date.now()
await until('the first reservations to have ended', async () => Date.now() - started > (Number(validity) + 3) * 1000, 120)
await caller.hangUp(one.peerId)
const again = await caller.dial(circuit(one))
const renewed = Buffer.compare(await echo(again, quarter), quarter) === 0

console.log(JSON.stringify({
  refused, within, above, lasted, renewed, stillRefused: circuit(third) == null, expected: Number(seconds)
}))
process.exit(0)
