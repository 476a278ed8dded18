/** Tests members behind a slow link. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'
import * as Y from 'yjs'
import { PeerworkProvider } from '../../src/yjs/index.js'
import { Members } from '../support/members.js'
import { Relay, isRust, ownLoopback } from '../support/relay.js'
import { SlowProxy } from '../support/slow-proxy.js'
import { until } from '../support/until.js'

/** 256 kbit/s. */
const BYTES_PER_SECOND = 32_000
/** More than a link of this speed carries until libp2p's own monitor has pinged and ended it. */
const DOCUMENT_BYTES = 800_000
const members = new Members()
const relays: Relay[] = []
const proxies: SlowProxy[] = []

after(async () => {
  await members.leave()
  for (const proxy of proxies) proxy.stop()
  await Promise.all(relays.map(async (relay) => { await relay.remove() }))
})

// The relay in JavaScript has libp2p's own monitor, which ends connections whose answers are late.
const rust = { skip: isRust ? false : 'PEERWORK_BIN names no program' }

test('a large document reaches a member behind a slow link, once and over one connection', rust, async () => {
  const relay = await Relay.start([], ownLoopback())
  relays.push(relay)
  const [, host = '', port = ''] = /^\/ip4\/([\d.]+)\/tcp\/(\d+)/.exec(relay.tcp) ?? []
  const proxy = await SlowProxy.start({ host, port: Number(port) }, BYTES_PER_SECOND)
  proxies.push(proxy)
  const near = await members.join({ relays: [relay.tcp], room: 'slow', name: 'near', listen: [] })
  const doc = new Y.Doc()
  doc.getText('t').insert(0, randomBytes(DOCUMENT_BYTES / 2).toString('hex'))
  const source = new PeerworkProvider(near, doc)
  await source.whenSynced
  const far = await members.join({
    relays: [relay.tcp.replace(`${host}/tcp/${port}`, `127.0.0.1/tcp/${proxy.port}`)], room: 'slow', name: 'far', listen: []
  })
  let losses = 0
  far.on('relay:disconnected', () => { losses += 1 })
  const copy = new PeerworkProvider(far, new Y.Doc())
  await until('the document to arrive', () => copy.doc.getText('t').length === DOCUMENT_BYTES, 120_000)
  assert.equal(losses, 0, 'the connection to the relay was kept')
  assert.ok(proxy.bytes > DOCUMENT_BYTES, 'the document came through the slow link')
  assert.ok(proxy.bytes < 1.5 * DOCUMENT_BYTES, `${proxy.bytes} bytes went through the slow link`)
})
