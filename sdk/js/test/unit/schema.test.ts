/** Compares the messages that this package encodes and decodes by hand with the schemas in `proto/peer`. */

import assert from 'node:assert/strict'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { base32 } from 'multiformats/bases/base32'
import protobuf from 'protobufjs'
import { Identity, PeerworkError } from '../../src/index.js'
import { concat, utf8 } from '../../src/bytes.js'
import { encodeLookup, parseResponse } from '../../src/fetch/directory.js'
import { decodeAnswer, encodeHead } from '../../src/fetch/tunnel.js'
import { parseResponse as parseRedeemed } from '../../src/network/redeem.js'
import { parseTicket } from '../../src/network/ticket.js'
import { checksum } from '../../src/network/secret.js'

function schema (file: string): (message: string) => protobuf.Type {
  const root = new protobuf.Root()
  root.loadSync(fileURLToPath(new URL(`../../../../../proto/peer/${file}.proto`, import.meta.url)))
  return (message) => root.lookupType(`peerwork.peer.${file}.${message}`)
}

const tunnel = schema('tunnel')
const directory = schema('directory')
const envelope = schema('envelope')
const ticket = schema('ticket')

const bytes = (type: protobuf.Type, value: object): Uint8Array => {
  assert.equal(type.verify(value), null)
  return Uint8Array.from(type.encode(type.fromObject(value)).finish())
}

/** Decodes a message, and fails for bytes that the schema does not define. */
function decoded (type: protobuf.Type, message: Uint8Array): Record<string, unknown> {
  const value = type.toObject(type.decode(message))
  assert.deepEqual(bytes(type, value), message)
  return value
}

const binary = (id: string): Uint8Array => peerIdFromString(id).toMultihash().bytes
const edge = (await Identity.generate()).peerId
const relay = (await Identity.generate()).peerId

test('a tunnel\'s head is a Head of the schema', () => {
  const message = encodeHead({ port: 9527, openDeadlineMs: 10_000, key: 'pwk_x' })
  const head = decoded(tunnel('Head'), message.subarray(1))
  assert.equal(message[0], message.byteLength - 1)
  assert.deepEqual([head['port'], head['openDeadlineMs'], head['key']], [9527, 10_000, 'pwk_x'])
  assert.equal((head['requestId'] as Uint8Array).byteLength, 16)
  // HTTP has the value 0, which is not sent.
  assert.equal(tunnel('Head').decode(message.subarray(1)).toJSON()['kind'], undefined)
})

test('every reason of a refused tunnel has a code of its own text', () => {
  assert.equal(decodeAnswer(bytes(tunnel('Answer'), {})), undefined)
  const reasons = tunnel('Answer').root.lookupEnum('peerwork.peer.tunnel.Reason').values
  const texts = Object.values(reasons).map((reason) => {
    const refused = decodeAnswer(bytes(tunnel('Answer'), { refused: { reason, detail: 'why' } }))
    assert.ok(refused instanceof PeerworkError && refused.message.endsWith(': why'))
    return refused.message
  })
  assert.equal(new Set(texts).size, Object.keys(reasons).length)
  assert.ok(texts.every((text) => text !== 'the edge refused: why'), 'each reason is known')
  const later = decodeAnswer(bytes(tunnel('Answer'), { refused: { reason: 99 } }))
  assert.equal(later?.code, 'edge-refused')
})

test('a lookup is a Request of the schema', () => {
  const request = decoded(directory('Request'), encodeLookup(edge))
  assert.deepEqual(Uint8Array.from(request['lookup'] as Uint8Array), binary(edge))
})

test('addresses are found in an Advertisement with all fields of the schema', () => {
  const payload = bytes(directory('Advertisement'), {
    node: binary(edge),
    network: 'test',
    sequence: 7,
    issuedAtMs: 1_800_000_000_000,
    expiresInMs: 3_600_000,
    name: 'edge',
    version: '1',
    roles: ['edge'],
    relays: [{ node: binary(relay), address: '/ip4/192.0.2.2/tcp/5' }],
    addresses: [multiaddr('/ip4/192.0.2.1/tcp/4').bytes],
    services: [{ port: 80 }],
    requiresKey: true,
    startedAtMs: 1_800_000_000_000,
    uptimeMs: 5,
    appOrigin: '{}',
    modelHash: 'x',
    mac: '00:16:3e:00:00:01',
    memInfo: '{}',
    cpuInfo: '{}',
    gpuInfo: '[]',
    averagePower: 1.5,
    relayProxyPort: 80,
    offers: [{ kind: 'store', version: 1, body: utf8('body') }]
  })
  assert.equal(directory('Advertisement').fieldsArray.length, 23, 'a new field stands above')
  const signed = bytes(envelope('SignedEnvelope'), {
    publicKey: utf8('key'), payloadType: utf8('/peerwork/directory/advertisement'), payload, signature: utf8('signature')
  })
  const answer = bytes(directory('Response'), { chunk: { envelopes: [signed], last: true } })
  assert.deepEqual(parseResponse(answer, edge), {
    relays: [{ id: relay, address: '/ip4/192.0.2.2/tcp/5' }], addresses: ['/ip4/192.0.2.1/tcp/4']
  })
  const refused = bytes(directory('Response'), { refused: { reason: 11 } })
  assert.throws(() => parseResponse(refused, edge), /reason 11/)
})

test('a ticket with all fields of the schema is decoded, and its token is sent as it came', () => {
  const token = {
    id: new Uint8Array(16).fill(1), relay: binary(relay), expires: 1_800_000_000, once: true, mac: new Uint8Array(32).fill(3)
  }
  const payload = bytes(ticket('Ticket'), {
    networkId: -7, name: 'test', relays: [multiaddr(`/ip4/192.0.2.2/tcp/5/p2p/${relay}`).bytes], token
  })
  assert.equal(ticket('Ticket').fieldsArray.length, 5, 'a new field stands above')
  const read = parseTicket(`peerwork1${base32.baseEncode(concat([payload, checksum(payload)]))}`)
  assert.deepEqual({ ...read, token: undefined }, {
    id: '-7', name: 'test', relays: [`/ip4/192.0.2.2/tcp/5/p2p/${relay}`], secrets: [], token: undefined
  })
  assert.deepEqual([read.token?.relay, read.token?.expires, read.token?.once], [relay, 1_800_000_000, true])
  assert.deepEqual(read.token?.message, bytes(ticket('Token'), token))
})

test('a relay\'s response to a token is decoded, and each reason of a refusal has a text of its own', () => {
  const at = (node: string): Uint8Array => multiaddr(`/ip4/192.0.2.2/tcp/5/p2p/${node}`).bytes
  const network = {
    name: 'test', networkId: 7, bootnodes: [at(edge)], relaynodes: [at(relay)], secrets: [new Uint8Array(32).fill(1)]
  }
  assert.equal(ticket('Network').fieldsArray.length, 5, 'a new field stands above')
  const facts = parseRedeemed(bytes(ticket('Response'), { network }))
  assert.deepEqual([facts.id, facts.name, facts.relays, facts.secrets.length], ['7', 'test', [`/ip4/192.0.2.2/tcp/5/p2p/${relay}`], 1])
  const reasons = Object.values(ticket('Response').root.lookupEnum('peerwork.peer.ticket.Reason').values)
  const texts = [...reasons, 99].map((refused) => {
    try {
      parseRedeemed(bytes(ticket('Response'), { refused }))
    } catch (error) {
      assert.ok(error instanceof PeerworkError && error.side === 'relay')
      return error.message
    }
    throw new Error(`reason ${refused} is no refusal`)
  })
  assert.equal(new Set(texts).size, reasons.length)
  assert.equal(texts.at(-1), texts[reasons.indexOf(0)], 'an unknown reason is unspecified')
  assert.throws(() => parseRedeemed(bytes(ticket('Response'), { network: { ...network, secrets: [new Uint8Array(31)] } })), /32 bytes/)
})
