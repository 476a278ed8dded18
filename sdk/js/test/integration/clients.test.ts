import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { MESSAGE_BYTES_MAX, PUBLISH_BYTES_MAX } from '../../src/limits.js'
import { Members, allSee, sees } from '../support/members.js'
import { Relay } from '../support/relay.js'
import { until } from '../support/until.js'
import type { PeerMessage, PeerStream, PeerworkNode, TopicMessage } from '../../src/index.js'

const members = new Members()
let relay: Relay
let web: PeerworkNode
let program: PeerworkNode
const code = (wanted: string) => (error: unknown): boolean => error instanceof PeerworkError && error.code === wanted

before(async () => {
  relay = await Relay.start()
  // Neither node listens, so they know the relay alone and are connected through it.
  web = await members.join({ relays: [relay.webSocket], room: 'clients', name: 'web', state: { role: 'a' }, listen: [] })
  program = await members.join({ relays: [relay.tcp], room: 'clients', name: 'program', listen: [] })
  await allSee([web, program], 'relayed')
})

after(async () => {
  await members.leave()
  await relay.remove()
})

test('a WebSocket client and a TCP client find each other over the relay', async () => {
  const peer = await sees(program, web.peerId, 'relayed')
  assert.equal(peer.name, 'web')
  assert.deepEqual(peer.state, { role: 'a' })
  assert.ok(Date.now() - peer.lastSeen < 30_000)
  assert.deepEqual(web.relays.map(({ id, connected, reserved }) => ({ id, connected, reserved })),
    [{ id: relay.id, connected: true, reserved: true }])
})

test('messages go both ways and are acknowledged', async () => {
  const got: PeerMessage[] = []
  const offs = [web, program].map((node) => node.onMessage((message) => { got.push(message) }))
  await web.send(program.peerId, { hello: ['wörld', 1] })
  await program.send(web.peerId, Uint8Array.of(1, 2, 3))
  await program.send(web.peerId, 'x'.repeat(MESSAGE_BYTES_MAX))
  assert.deepEqual(got.slice(0, 2), [
    { from: web.peerId, data: { hello: ['wörld', 1] } }, { from: program.peerId, data: Uint8Array.of(1, 2, 3) }
  ])
  assert.equal((got[2]?.data as string).length, MESSAGE_BYTES_MAX)
  for (const off of offs) off()
})

test('a message that cannot be taken says why', async () => {
  await assert.rejects(web.send(program.peerId, 'x'), code('not-supported'))
  await assert.rejects(web.send(program.peerId, 'x'.repeat(MESSAGE_BYTES_MAX + 1)), code('too-large'))
  await assert.rejects(web.send('nobody', 'x'), code('invalid-argument'))
  await assert.rejects(web.send(web.peerId, 'x'), code('invalid-argument'))
  const stranger = '12D3KooWMTocLVb243eanESWBN3thdYVTJHGCJjo7jUbdoaxa8fC'
  await assert.rejects(web.send(stranger, 'x'), code('peer-unreachable'))
  await assert.rejects(web.send(program.peerId, 'x', { signal: AbortSignal.abort(new Error('mine')) }), /mine/)
})

test('published messages reach the subscribers, both ways, and not the author', async () => {
  const heard: TopicMessage[] = []
  const own: TopicMessage[] = []
  const offs = [program.subscribe('news', (message) => { heard.push(message) }), web.subscribe('news', (message) => { own.push(message) })]
  await until('the first message', async () => {
    await web.publish('news', 'warm up')
    return heard.length > 0
  })
  assert.ok(await web.publish('news', 'x'.repeat(PUBLISH_BYTES_MAX)) > 0)
  await until('the largest message', () => heard.some(({ data }) => (data as string).length === PUBLISH_BYTES_MAX))
  assert.ok(await program.publish('news', { back: true }) > 0)
  await until('the way back', () => own.length > 0)
  assert.deepEqual(own, [{ from: program.peerId, topic: 'news', data: { back: true } }])
  assert.ok(heard.every(({ from, topic }) => from === web.peerId && topic === 'news'))
  await assert.rejects(web.publish('news', 'x'.repeat(PUBLISH_BYTES_MAX + 1)), code('too-large'))
  for (const off of offs) off()
})

test('sixteen streams carry 64 KiB each, at once and both ways, over the circuit', async () => {
  const off = await program.handleStream('echo', (stream) => { void stream.readable.pipeTo(stream.writable).catch(() => {}) })
  const sent = crypto.getRandomValues(new Uint8Array(64 * 1024))
  const received = await Promise.all(Array.from({ length: 16 }, async () => {
    const stream = await web.openStream(program.peerId, 'echo')
    assert.equal(stream.peer, program.peerId)
    const writing = write(stream, sent)
    const bytes = await read(stream)
    await writing
    return bytes
  }))
  assert.equal(received.length, 16)
  for (const bytes of received) assert.deepEqual(bytes, sent)
  await off()
  await assert.rejects(web.openStream(program.peerId, 'echo'), code('not-supported'))
})

test('a stream that a peer aborts is an error at the other side', async () => {
  const off = await program.handleStream('abort', (stream) => { stream.abort(new Error('no')) })
  const stream = await web.openStream(program.peerId, 'abort')
  await assert.rejects(read(stream), code('cut-off'))
  await off()
})

test('a reader that does not read stops the writer, and nothing is lost', async () => {
  let taken: PeerStream | undefined
  const off = await program.handleStream('slow', (stream) => { taken = stream })
  const stream = await web.openStream(program.peerId, 'slow')
  let written = 0
  const total = 6 * 1024 * 1024
  const writing = (async () => {
    const writer = stream.writable.getWriter()
    const piece = new Uint8Array(64 * 1024).fill(5)
    for (; written < total; written += piece.byteLength) await writer.write(piece)
    await writer.close()
  })()
  const slow = await until('the stream', () => taken)
  let read = 0
  let ahead = 0
  for await (const part of slow.readable) {
    read += part.byteLength
    ahead = Math.max(ahead, written - read)
  }
  assert.equal(read, total)
  // The windows of the circuit and of the connections that carry it, and this package's buffers.
  assert.ok(ahead < 3 * 1024 * 1024, `${ahead} bytes were under way`)
  await writing
  await off()
})

test('a peer\'s name and state change for the others', async () => {
  program.present({ name: 'renamed', state: [1, 2] })
  const peer = await until('the new name', () => web.peers.find(({ name }) => name === 'renamed'))
  assert.deepEqual(peer.state, [1, 2])
  assert.throws(() => { program.present({ name: 'n'.repeat(65) }) }, code('invalid-argument'))
  assert.throws(() => { program.present({ state: 's'.repeat(4096) }) }, code('invalid-argument'))
})

test('Node.js clients that listen are connected directly, and the circuit is given back', async () => {
  const nodes = await Promise.all(['one', 'two'].map(async (name) => {
    return await members.join({ relays: [relay.tcp], room: 'direct', name, listen: ['/ip4/127.0.0.1/tcp/0'] })
  }))
  await allSee(nodes, 'direct')
  const [one, two] = nodes as [PeerworkNode, PeerworkNode]
  two.onMessage(() => {})
  await one.send(two.peerId, 'direct')
})

test('a node that leaves is gone for others at once, and its own calls say that it left', async () => {
  const left: string[] = []
  web.on('peer:leave', ({ id }) => { left.push(id) })
  const guest = await members.join({ relays: [relay.tcp], room: 'clients', name: 'guest', listen: [] })
  await sees(web, guest.peerId)
  await guest.leave()
  // Without a goodbye a peer whose connection has closed stays for eight seconds.
  await until('the goodbye', () => left.includes(guest.peerId), 7_000)
  await assert.rejects(guest.publish('news', 1), code('left'))
  await assert.rejects(guest.send(web.peerId, 1), code('left'))
  assert.throws(() => guest.state('x'), code('left'))
  await guest.leave()
})

test('a handler of onLeave can publish, and one that never ends does not keep the node', async () => {
  const heard: unknown[] = []
  const off = web.subscribe('last words', ({ data }) => { heard.push(data) })
  const guest = await members.join({ relays: [relay.tcp], room: 'clients', name: 'guest', listen: [] })
  await sees(web, guest.peerId)
  const offRemoved = guest.onLeave(() => { heard.push('removed') })
  guest.onLeave(async () => { await guest.publish('last words', 'farewell') })
  guest.onLeave(() => { throw new Error('a handler that fails') })
  guest.onLeave(async () => { await new Promise<never>(() => {}) })
  offRemoved()
  await until('the relay to forward', async () => {
    await guest.publish('last words', 'first')
    return heard.includes('first')
  })
  await guest.leave()
  await until('the last message', () => heard.includes('farewell'))
  assert.equal(heard.includes('removed'), false)
  assert.throws(() => guest.onLeave(() => {}), code('left'))
  off()
})

test('a relay that is not there is an error that names it', async () => {
  const address = relay.tcp.replace(/\/tcp\/\d+/, '/tcp/1')
  await assert.rejects(members.join({ relays: [address], room: 'r', timeoutMs: 1_000 }),
    (error: unknown) => code('relay-unreachable')(error) && (error as Error).message.includes(relay.id))
  await assert.rejects(members.join({ relays: ['http://127.0.0.1:1/'], room: 'r', timeoutMs: 1_000 }), code('relay-unreachable'))
  const alone = await members.join({ relays: [address], room: 'r', timeoutMs: 0 })
  await assert.rejects(alone.publish('t', 1), code('offline'))
})

test('a signal ends a join that waits for a relay', async () => {
  const address = relay.tcp.replace(/\/tcp\/\d+/, '/tcp/1')
  const over = new AbortController()
  const joining = assert.rejects(members.join({ relays: [address], room: 'r', signal: over.signal }), /enough/)
  over.abort(new Error('enough'))
  await joining
  await assert.rejects(members.join({ relays: [relay.tcp], room: 'r', signal: AbortSignal.abort(new Error('before')) }), /before/)
})

async function write (stream: PeerStream, bytes: Uint8Array): Promise<void> {
  const writer = stream.writable.getWriter()
  await writer.write(bytes)
  await writer.close()
}

async function read (stream: PeerStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of stream.readable) parts.push(part)
  return new Uint8Array(Buffer.concat(parts))
}
