/** Tests secrets, proofs and tickets, with the values that the Rust crates are tested with. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import test from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { base32 } from 'multiformats/bases/base32'
import { Identity, NetworkSecret, PeerworkError, PeerworkNode, parseTicket, redeemTicket } from '../../src/index.js'
import { concat, utf8 } from '../../src/bytes.js'
import { bytesField, numberField, varint } from '../../src/fetch/protobuf.js'
import { SECRET_BYTES, TICKET_BYTES_MAX, TICKET_RELAYS_MAX, TICKET_TEXT_BYTES_MAX } from '../../src/limits.js'
import { encodeProofs, isCount, isProven, prove } from '../../src/net/proof.js'
import { checksum } from '../../src/network/secret.js'
import { readTicketText } from '../../src/network/ticket-text.js'

/** The documented values, which the Rust crates' tests compute too. */
const PAGE = readFileSync(new URL('../../../../../proto/peer/README.md', import.meta.url), 'utf8')
const RELAY = '16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi'
const OTHER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const ADDRESS = `/ip4/192.0.2.1/tcp/4001/p2p/${RELAY}`
const ONES = NetworkSecret.from(new Uint8Array(SECRET_BYTES).fill(1))
const TICKET = /^peerwork1\w+$/m.exec(PAGE)?.[0] ?? ''
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Asserts that a call is refused with words that match and do not repeat a text. */
function refused (call: () => unknown, pattern: RegExp, text = ''): void {
  assert.throws(call, (error: unknown) => {
    assert.ok(error instanceof PeerworkError && error.code === 'invalid-argument', String(error))
    assert.match(error.message, pattern)
    for (let at = 0; at + 12 <= text.length; at += 1) {
      assert.ok(!inspect(error).includes(text.slice(at, at + 12)), 'the message repeats the text')
    }
    return true
  })
}

/** Numbers that are the same in each run. */
function random (seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x6d2b79f5 | 0
    return (state >>> 0) % below
  }
}

test('a secret is read from its text, and a changed or cut text is refused without being repeated', () => {
  const text = ONES.toText()
  assert.ok(PAGE.includes(text))
  assert.equal(NetworkSecret.parse(text).toText(), text)
  for (let at = 'pws_'.length; at < text.length; at += 1) {
    const wrong = text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
    refused(() => NetworkSecret.parse(wrong), /incomplete or was changed/, wrong.slice(4))
  }
  for (let length = 0; length < text.length; length += 1) refused(() => NetworkSecret.parse(text.slice(0, length)), /secret/)
  for (const wrong of [`${text}a`, `${text}======`, text.toUpperCase(), `pws_${'a'.repeat(10_000)}`, 'password']) {
    refused(() => NetworkSecret.parse(wrong), /secret/)
  }
  refused(() => NetworkSecret.parse(undefined as unknown as string), /not a network secret/)
  refused(() => NetworkSecret.from(new Uint8Array(SECRET_BYTES - 1)), /32 bytes/)
  refused(() => NetworkSecret.from(new Uint8Array(SECRET_BYTES + 1)), /32 bytes/)
  assert.ok(!inspect(ONES).includes('1') && !JSON.stringify(ONES).includes('1'), 'the console shows nothing')
})

test('MACs are those of the Rust program', () => {
  const mac = ONES.mac('label', [utf8('a'), new Uint8Array(0), utf8('bc')])
  assert.equal(hex(mac), '5771d04a3ede9a0bc26f3c93d4372d899efc849e1724133e0aeddaeb1b853a40')
  assert.notEqual(hex(ONES.mac('label', [utf8('ab'), utf8('c')])), hex(ONES.mac('label', [utf8('a'), utf8('bc')])))
})

test('a proof has the documented bytes, and holds for its nodes, network, nonce and secret alone', () => {
  const parties = { network: '1000', prover: peerIdFromString(RELAY), verifier: peerIdFromString(OTHER) }
  const nonce = Uint8Array.from({ length: 32 }, (_, at) => at)
  const mac = prove(ONES, parties, nonce)
  assert.ok(PAGE.includes(`| MAC | \`${hex(mac)}\` |`), hex(mac))
  const answer = encodeProofs([NetworkSecret.generate(), ONES], parties, nonce)
  assert.deepEqual([...answer.subarray(0, 2), answer.byteLength], [1, 2, 66])
  assert.ok(isProven([answer.subarray(2, 34), answer.subarray(34)], [ONES], parties, nonce))
  const mirrored = { ...parties, prover: parties.verifier, verifier: parties.prover }
  for (const [secrets, other, at] of [
    [[NetworkSecret.generate()], parties, nonce], [[], parties, nonce], [[ONES], mirrored, nonce],
    [[ONES], { ...parties, network: '1001' }, nonce], [[ONES], parties, new Uint8Array(32)]
  ] as const) {
    assert.ok(!isProven([mac], secrets, other, at))
  }
  assert.ok(!isProven([], [ONES], parties, nonce))
  assert.deepEqual([0, 1, 2, 3].map(isCount), [false, true, true, false])
})

test('the ticket of the Rust crates is decoded', () => {
  const ticket = parseTicket(TICKET)
  assert.deepEqual({ ...ticket, secrets: ticket.secrets.map((secret) => secret.toText()) },
    { id: '1000', name: 'Example', relays: [ADDRESS], secrets: [ONES.toText()] })
})

/** Writes a payload as a ticket. */
function written (payload: Uint8Array): string {
  return `peerwork1${base32.baseEncode(concat([payload, checksum(payload)]))}`
}

test('a ticket is found in the forms that chat programs give it', () => {
  const [front, back] = [TICKET.slice(0, 40), TICKET.slice(40)]
  for (const form of [
    TICKET.toUpperCase(), `  ${TICKET}\r\n`, `\ufeff${front}\u200b\n  ${back}\u00ad`, `${TICKET.slice(0, 5)}\n${TICKET.slice(5)}`,
    `"${TICKET}"`, `“${TICKET}”,`, `\`\`\`\n${TICKET}\n\`\`\``, `**\`${TICKET}\`**!`, `<${TICKET}>.`, `> ${front}\n> ${back}`,
    `${front}-\n${back}`, `$ peerwork join ${TICKET}`, `peerwork join '${TICKET}' --data-dir home`,
    `peerwork node --join=${TICKET}`, `Peerwork 1.2: here is the ticket ${TICKET}\nthanks, see you soon`,
    `ticket: ${TICKET} 你好`, `你好：${TICKET}。`, `&gt; ${front}<br>\n&gt; ${back}`, `&lt;${front}&nbsp;${back}&gt;&#46;`,
    `&quot;${front}&#x200B;${back}&quot;`, `${front}=\r\n${back}`, `${front}<wbr/>${back}</p>`,
    `peerwork1abc peerwork2aaaaaaaaaaaaaaaaaaaa ${TICKET}`
  ]) {
    assert.equal(parseTicket(form).id, '1000', form)
  }
})

test('texts without a ticket are refused, each with its advice', () => {
  for (const [text, advice] of [
    ['', /not a ticket/], ['peerwork', /not a ticket/], ['peerwork1', /not a ticket/], ['peerwork 3 is out', /not a ticket/],
    [TICKET.slice(8), /not a ticket/], [TICKET.replace('1', '2'), /has version 2/], [TICKET.replace('1', '9'), /has version 9/],
    [TICKET.slice(0, -3), /incomplete or was changed/], [`${TICKET}a7`, /incomplete or was changed/],
    [TICKET.replace('peerwork1', 'peerwork1a'), /incomplete or was changed/]
  ] as Array<[string, RegExp]>) refused(() => parseTicket(text), advice, text.slice(9))
  refused(() => parseTicket(7 as unknown as string), /not a ticket/)
})

test('texts and tickets are read at their limits and not beyond', () => {
  const largest = new Uint8Array(TICKET_BYTES_MAX).fill(7)
  const text = written(largest)
  assert.deepEqual(readTicketText(text), largest)
  refused(() => readTicketText(written(new Uint8Array(TICKET_BYTES_MAX + 1))), /too long/)
  const spaces = ' '.repeat(TICKET_TEXT_BYTES_MAX - text.length)
  assert.deepEqual(readTicketText(spaces + text), largest)
  refused(() => readTicketText(`${spaces} ${text}`), /too long/)
  // The limit counts bytes.
  refused(() => readTicketText('ü'.repeat(TICKET_TEXT_BYTES_MAX / 2) + text), /too long/)
})

test('a ticket with any one character changed, left out or doubled is refused', () => {
  for (let at = 'peerwork1'.length; at < TICKET.length; at += 1) {
    const [front, char = '', back] = [TICKET.slice(0, at), TICKET[at], TICKET.slice(at + 1)]
    for (const wrong of [front + (char === 'a' ? 'b' : 'a') + back, front + back, front + char + char + back]) {
      // The neighbour of a double character may be left out as well as the character itself.
      if (wrong !== TICKET) refused(() => parseTicket(wrong), /incomplete or was changed/, wrong.slice(9))
    }
  }
})

test('mangled tickets give the ticket or a refusal in words', () => {
  const next = random(1)
  const between = [' ', '\n', '\r\n> ', '\u200b', '\ufeff', '*', '`', '- ', '&nbsp;', '<br/>', '\u00ad']
  const noise = [...between, 'peerwork1', 'peerwork', 'x', '7', '0', 'ß', '你', '\ud800', '<', '&', '==', 'pws_']
  const pick = <T>(list: readonly T[]): T => list[next(list.length)] as T
  for (let run = 0; run < 2000; run += 1) {
    const every = 1 + next(40)
    const pieces = TICKET.match(new RegExp(`.{1,${every}}`, 'g')) ?? []
    const mark = pick(between)
    assert.equal(parseTicket(pieces.join(mark)).id, '1000', JSON.stringify([every, mark]))
    const chars = [...TICKET]
    for (let change = 0; change <= next(4); change += 1) chars.splice(next(chars.length), next(3), pick(noise))
    try {
      assert.equal(parseTicket(chars.join('')).name, 'Example')
    } catch (error) {
      assert.ok(error instanceof PeerworkError && error.code === 'invalid-argument', String(error))
    }
    const payload = Uint8Array.from({ length: next(120) }, () => next(256))
    try {
      assert.match(parseTicket(written(payload)).id, /^-?\d+$/)
    } catch (error) {
      assert.ok(error instanceof PeerworkError && error.code === 'invalid-argument', String(error))
    }
  }
})

const binary = (id: string): Uint8Array => peerIdFromString(id).toMultihash().bytes

/** The fields of a token, with some of them changed. */
function token (changed: { id?: number, relay?: string, mac?: number } = {}): Uint8Array {
  return bytesField(5, concat([
    bytesField(1, new Uint8Array(changed.id ?? 16).fill(2)), bytesField(2, binary(changed.relay ?? RELAY)),
    numberField(3, 1_700_000_000), numberField(4, 1), bytesField(5, new Uint8Array(changed.mac ?? 32))
  ]))
}

test('whole tickets with wrong contents are refused with the reason, at each limit', () => {
  const relay = bytesField(3, multiaddr(ADDRESS).bytes)
  const secret = bytesField(4, new Uint8Array(32))
  const read = (...parts: Uint8Array[]): ReturnType<typeof parseTicket> => parseTicket(written(concat(parts)))
  assert.deepEqual(read(relay, token()).token?.relay, RELAY)
  assert.deepEqual([read(relay, token()).token?.once, read(relay, token()).token?.expires], [true, 1_700_000_000])
  refused(() => read(relay, secret, token()), /a token and secrets/)
  refused(() => read(token()), /no address of the relay/)
  refused(() => read(relay, token({ relay: OTHER })), /no address of the relay/)
  for (const size of [15, 17]) refused(() => read(relay, token({ id: size })), new RegExp(`${size} bytes and not 16`))
  for (const size of [31, 33]) refused(() => read(relay, token({ mac: size })), new RegExp(`${size} bytes and not 32`))
  assert.equal(read(secret, secret).secrets.length, 2)
  refused(() => read(secret, secret, secret), /3 secrets/)
  for (const size of [0, 31, 33]) refused(() => read(bytesField(4, new Uint8Array(size))), /32 bytes/)
  assert.equal(read(...new Array<Uint8Array>(TICKET_RELAYS_MAX).fill(relay)).relays.length, TICKET_RELAYS_MAX)
  refused(() => read(...new Array<Uint8Array>(TICKET_RELAYS_MAX + 1).fill(relay)), /9 nodes/)
  for (const wrong of [new Uint8Array(0), Uint8Array.of(4, 1), multiaddr('/ip4/192.0.2.1/tcp/1').bytes]) {
    refused(() => read(bytesField(3, wrong)), /address/)
  }
  assert.equal(read(bytesField(2, utf8('n'.repeat(256)))).name.length, 256)
  refused(() => read(bytesField(2, utf8('n'.repeat(257)))), /257/)
  refused(() => read(bytesField(2, Uint8Array.of(0xff))), /not valid/)
})

test('a network\'s id is exact in all its 64 bits', () => {
  const ids = [0n, 1n, 2n ** 52n, 2n ** 53n + 1n, 2n ** 63n - 1n, -1n, -(2n ** 63n)]
  for (const id of ids) {
    let rest = BigInt.asUintN(64, id)
    const bytes = [8]
    for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
    bytes.push(Number(rest))
    assert.equal(parseTicket(written(Uint8Array.from(bytes))).id, id.toString())
  }
  assert.deepEqual([...varint(300)], [172, 2])
})

test('options that do not fit together are refused before anything is dialled', async () => {
  const relays = [ADDRESS]
  const secret = ONES.toText()
  const join = async (options: object): Promise<void> => {
    const node = await PeerworkNode.join({ room: 'options', ...options, listen: [], timeoutMs: 0 })
    await node.leave()
  }
  for (const [options, why] of [
    [{ relays, secrets: [secret] }, /need the networkId/],
    [{ relays, secrets: [secret, secret, secret], networkId: 1 }, /at most 2/],
    [{ relays, secrets: ['pws_x'], networkId: 1 }, /incomplete/],
    [{ relays, secrets: [secret], networkId: 2 ** 53 }, /64 bits/],
    [{ relays, secrets: [secret], networkId: '9223372036854775808' }, /64 bits/],
    [{ relays, secrets: [secret], networkId: '1e3' }, /64 bits/],
    [{ relays, ticket: TICKET, secrets: [secret] }, /not both/],
    [{ relays, ticket: TICKET, networkId: 1 }, /not both/],
    [{ ticket: 'nonsense' }, /not a ticket/],
    [{}, /relays is missing: give a list/],
    [{ ticket: written(bytesField(4, new Uint8Array(32))) }, /relays is empty: name at least one relay/],
    [{ ticket: written(bytesField(3, multiaddr(`/ip4/192.0.2.1/udp/1/quic-v1/p2p/${RELAY}`).bytes)) }, /no relay that can be dialled/]
  ] as Array<[object, RegExp]>) {
    await assert.rejects(join(options), (error: unknown) => {
      assert.ok(error instanceof PeerworkError && error.code === 'invalid-argument', String(error))
      assert.match(error.message, why)
      return true
    })
  }
  await join({ relays, secrets: [secret, secret], networkId: '-9223372036854775808' })
})

test('a ticket without a token is turned into options without asking a relay', async () => {
  const identity = await Identity.generate()
  assert.deepEqual(await redeemTicket(TICKET, { identity }), {
    networkId: '1000', networkName: 'Example', secrets: [ONES.toText()], relays: [ADDRESS]
  })
})
