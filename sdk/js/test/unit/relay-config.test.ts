import assert from 'node:assert/strict'
import test from 'node:test'
import { Identity, PeerworkError } from '../../src/index.js'
import { ICE_CREDENTIAL_CHARS_MAX, ICE_SERVERS_MAX, ICE_URLS_MAX, ICE_URL_CHARS_MAX } from '../../src/limits.js'
import { ACCESS_PROTOCOL, Access, PROOF_AGE_MAX_MS, checkTokens } from '../../src/net/access.js'
import { checkFitness } from '../../src/net/fitness.js'
import { parseConfig } from '../../src/net/relay-config.js'
import type { Connection } from '@libp2p/interface'

const relay = (await Identity.generate()).peerId
const TOKEN = 'sixteen-chars-xx'
const fails = (code: string, words: RegExp) => (error: unknown): boolean => {
  return error instanceof PeerworkError && error.code === code && words.test(error.message)
}

test('a token has 16 to 256 visible characters, and errors never contain it', () => {
  for (const token of ['x'.repeat(16), 'x'.repeat(256)]) assert.equal(checkTokens(token)(relay), token)
  assert.equal(checkTokens(undefined)(relay), undefined)
  assert.deepEqual([relay, 'other'].map(checkTokens({ [relay]: TOKEN })), [TOKEN, undefined])
  // A name that every object has is no token.
  assert.equal(checkTokens({})('constructor'), undefined)
  for (const token of ['secret-of-15-ch', `secret${'x'.repeat(251)}`, 'secret with space', 'secret-with-ünicode', '', 7, null, [TOKEN], { [relay]: 7 }, { nonsense: TOKEN }]) {
    assert.throws(() => checkTokens(token as string), (error: unknown) => fails('invalid-argument', /token/)(error) && !String(error).includes('secret'), String(token))
  }
})

test('a proof is made once on a connection, again in time, and never without a token', async () => {
  let opened = 0
  const connection = {
    remotePeer: { toString: () => relay },
    newStream: async (protocol: string) => {
      assert.equal(protocol, ACCESS_PROTOCOL)
      opened += 1
      if (opened === 3) throw new Error('broken')
      throw Object.assign(new Error('no'), { name: 'UnsupportedProtocolError' })
    }
  } as unknown as Connection
  const access = new Access(checkTokens(TOKEN))
  assert.deepEqual(await Promise.all([access.prove(connection, 0), access.prove(connection, 0)]), ['not-asked', 'not-asked'])
  await access.prove(connection, PROOF_AGE_MAX_MS - 1)
  assert.equal(opened, 1)
  await access.prove(connection, PROOF_AGE_MAX_MS)
  assert.equal(opened, 2)
  // A proof that failed is made again at the next attempt.
  await assert.rejects(access.prove(connection, 2 * PROOF_AGE_MAX_MS), /broken/)
  assert.equal(await access.prove(connection, 2 * PROOF_AGE_MAX_MS), 'not-asked')
  assert.equal(opened, 4)
  assert.equal(await new Access(checkTokens(undefined)).prove(connection), 'none')
  assert.equal(opened, 4)
})

test('a relay must carry circuits and forward gossip by gossipsub', () => {
  const HOP = '/libp2p/circuit/relay/0.2.0/hop'
  checkFitness([HOP, '/meshsub/1.1.0'], 'rooms')
  checkFitness([HOP, '/meshsub/1.1.0', '/floodsub/1.0.0', '/peerwork/network/1'], 'rooms')
  const cases: Array<[string[], RegExp]> = [
    [[], /no circuits/], [['/meshsub/1.1.0'], /no circuits/], [[HOP], /no gossip/],
    [[HOP, '/floodsub/1.0.0'], /floodsub alone/], [[HOP, '/meshsub/1.1.0', '/peerwork/network/1'], /no gossip/]
  ]
  for (const [protocols, words] of cases) assert.throws(() => { checkFitness(protocols, 'rooms') }, fails('relay-unfit', words))
})

test('fields of another form are named and ignored, and the addresses stay', () => {
  const bootstrapPeers = ['a', 'b']
  const parse = (more: object): [unknown, number | undefined, string[]] => {
    const config = parseConfig({ bootstrapPeers, ...more })
    assert.deepEqual(config?.bootstrapPeers, bootstrapPeers)
    return [config?.iceServers, config?.messageBytesMax, config?.mistakes ?? []]
  }
  assert.deepEqual(parse({}), [[], undefined, []])
  assert.deepEqual(parse({ unknown: 1, pubsubType: 'floodsub', gossip: { maxMessageBytes: 7, other: 1 } }), [[], 7, []])
  for (const [more, mistake] of [
    [{ pubsubType: 1 }, /^pubsubType/], [{ gossip: 1 }, /^gossip is no object/], [{ iceServers: {} }, /^iceServers is no list/],
    ...['7', 0, -1, 1.5, null].map((maxMessageBytes) => [{ gossip: { maxMessageBytes } }, /^gossip\.maxMessageBytes/]),
    ...[null, 'stun:a', {}, { urls: [] }, { urls: 'https://a' }, { urls: 'turn:a' }, { urls: 'turn:a', username: 'u', credential: '' },
      { urls: 'stun:a?transport=udp' }, { urls: ['stun:a', 7] }, { urls: 'stun:a', username: 1 }].map((server) => [{ iceServers: [server] }, /^iceServers\[0\]/])
  ] as Array<[object, RegExp]>) {
    const [servers, bytes, [first, ...others]] = parse(more)
    assert.deepEqual([servers, bytes, others], [[], undefined, []], JSON.stringify(more))
    assert.match(first ?? '', mistake)
  }
  for (const document of [null, [], 'x', {}, { bootstrapPeers: 'a' }]) assert.equal(parseConfig(document), undefined)
})

test('ICE servers are taken within their limits', () => {
  const parse = (iceServers: unknown[]): [number, number] => {
    const config = parseConfig({ bootstrapPeers: [], iceServers })
    return [config?.iceServers.length ?? 0, config?.mistakes.length ?? 0]
  }
  const turn = (characters: number): object => ({ urls: 'turns:[::1]:5349?transport=tcp', username: 'u', credential: 'x'.repeat(characters) })
  const stun = (characters: number): object => ({ urls: `stun:${'a'.repeat(characters - 5)}` })
  const many = (urls: number): object => ({ urls: Array<string>(urls).fill('stun:a.example:3478') })
  for (const [make, max] of [[turn, ICE_CREDENTIAL_CHARS_MAX], [stun, ICE_URL_CHARS_MAX], [many, ICE_URLS_MAX]] as const) {
    assert.deepEqual(parse([make(max)]), [1, 0])
    assert.deepEqual(parse([make(max + 1)]), [0, 1])
  }
  assert.deepEqual(parse(Array<object>(ICE_SERVERS_MAX).fill(stun(9))), [ICE_SERVERS_MAX, 0])
  assert.deepEqual(parse(Array<object>(ICE_SERVERS_MAX + 1).fill(stun(9))), [ICE_SERVERS_MAX, 1])
})
