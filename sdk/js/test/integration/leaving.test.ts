/** Tests that a process of Node.js ends at once after `leave()` and after a failed join. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Identity, PeerworkNode } from '../../src/index.js'
import { Members } from '../support/members.js'
import { MemoryStorage } from '../support/memory-storage.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { AddressInfo, Server, Socket } from 'node:net'

const SCRIPT = fileURLToPath(new URL('../support/leaver.js', import.meta.url))
/** The time that the process may run on; it is idle then, so that a busy machine hardly matters. */
const END_MS = 700
/** The time for `leave()`, whatever the relays and peers do. */
const LEAVE_MS = 2_500
const members = new Members()
const relays: Relay[] = []

after(async () => {
  await members.leave()
  await Promise.all(relays.map(async (relay) => { await relay.remove() }))
})

async function startRelay (): Promise<Relay> {
  const relay = await Relay.start()
  relays.push(relay)
  return relay
}

type Options = { relays: string[], timeoutMs?: number, listen?: string[] }

/** Runs the process; `meanwhile` is called when it has joined, before it leaves. */
async function run (scenario: string, options: Options, meanwhile?: () => void, url?: string): Promise<string> {
  const child = spawn(process.execPath, [SCRIPT, scenario, JSON.stringify(options), ...url === undefined ? [] : [url]], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  let exited = false
  child.stdout.on('data', (data: Buffer) => { output += data.toString() })
  child.once('close', () => { exited = true })
  if (meanwhile !== undefined) {
    await until('the process to join', () => output.includes('joined'))
    meanwhile()
    child.stdin.write('go on\n')
  }
  try {
    await until(`the end of ${scenario} with ${JSON.stringify(options)}`, () => exited)
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`${String(error)}: ${output}`)
  }
  return output
}

/** Checks the times that the process printed. */
function endsSoon (output: string, what: string): void {
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? Number.NaN)
  assert.ok(number(/ended after (\d+) ms/) < END_MS, `${what}: ${output}`)
  if (!output.includes('failed with')) assert.ok(number(/left in (\d+) ms/) < LEAVE_MS, `${what}: ${output}`)
}

test('a process ends after it left a room at a living relay', async () => {
  const relay = await startRelay()
  const peer = await members.join({ relays: [relay.tcp], room: 'leaver', listen: [] })
  peer.onMessage(() => {})
  for (const address of [relay.tcp, relay.webSocket]) {
    for (const scenario of ['idle', 'work']) {
      const output = await run(scenario, { relays: [address], timeoutMs: 15_000 })
      assert.match(output, /left in/)
      endsSoon(output, `${scenario} at ${address}`)
    }
  }
})

test('a process ends after a failed join, and after it left while it was dialling', async () => {
  const relay = await startRelay()
  const { peerId } = await Identity.generate()
  const wrong = (address: string): string => address.replace(/\/p2p\/.*/, `/p2p/${peerId}`)
  const silent = await Silent.start()
  try {
    const dead = [`/ip4/127.0.0.1/tcp/1/p2p/${peerId}`, `/ip4/127.0.0.1/tcp/1/ws/p2p/${peerId}`]
    const mute = [`/ip4/127.0.0.1/tcp/${silent.port}/p2p/${peerId}`, `/ip4/127.0.0.1/tcp/${silent.port}/ws/p2p/${peerId}`,
      `http://127.0.0.1:${silent.port}`]
    for (const address of [...dead, ...mute, wrong(relay.tcp), wrong(relay.webSocket)]) {
      const output = await run('idle', { relays: [address] })
      assert.match(output, /failed with relay-unreachable/)
      endsSoon(output, `a failed join at ${address}`)
    }
    for (const address of [...dead, ...mute, relay.tcp, relay.webSocket]) {
      const output = await run('work', { relays: [address], timeoutMs: 0 })
      assert.match(output, /left in/)
      endsSoon(output, `left while dialling ${address}`)
    }
  } finally {
    silent.stop()
  }
})

test('a process leaves and ends soon while its relay or its peer is frozen', async () => {
  for (const way of ['tcp', 'webSocket'] as const) {
    const relay = await startRelay()
    const output = await run('wait', { relays: [relay[way]], timeoutMs: 15_000 }, () => { relay.signal('SIGSTOP') })
    relay.signal('SIGCONT')
    endsSoon(output, `a frozen relay by ${way}`)
    const peer = spawn(process.execPath, [SCRIPT, 'wait', JSON.stringify({ relays: [relay[way]], timeoutMs: 15_000 })], { stdio: ['pipe', 'ignore', 'inherit'] })
    try {
      const watcher = await members.join({ relays: [relay.tcp], room: 'leaver', listen: [] })
      await until('the peer', () => watcher.peers.length > 0)
      const frozen = await run('wait', { relays: [relay[way]], timeoutMs: 15_000 }, () => { peer.kill('SIGSTOP') })
      endsSoon(frozen, `a frozen peer by ${way}`)
      await watcher.leave()
    } finally {
      peer.kill('SIGKILL')
    }
  }
})

/** A TCP server that accepts connections and says nothing. */
class Silent {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor () {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
    })
  }

  static async start (): Promise<Silent> {
    const silent = new Silent()
    await new Promise<void>((resolve) => silent.#server.listen(0, '127.0.0.1', resolve))
    return silent
  }

  get port (): number {
    return (this.#server.address() as AddressInfo).port
  }

  stop (): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}

test('leaving twice at once ends once, and both calls wait for it', async () => {
  const relay = await startRelay()
  const storage = new MemoryStorage()
  const node = await PeerworkNode.join({ relays: [relay.tcp], room: 'twice', listen: [], persist: storage })
  node.state('board').set('title', 'ours')
  let handled = false
  let ended = 0
  node.onLeave(async () => {
    await until('the second call', () => ended > 0 || calls.length === 2)
    assert.equal(await node.publish('news', 'bye').then(() => true), true)
    handled = true
  })
  const calls: Array<Promise<void>> = []
  for (let call = 0; call < 2; call += 1) {
    calls.push(node.leave().then(() => {
      ended += 1
      assert.ok(handled, 'the handlers of onLeave ran before')
    }))
  }
  await Promise.all(calls)
  assert.equal(storage.closed, 1)
  await node.leave()
  assert.equal(storage.closed, 1)
})
