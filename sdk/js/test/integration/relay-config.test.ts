/** Tests that nodes use the settings of the relay's `relay-config.json`. */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { PeerworkError } from '../../src/index.js'
import { closePages, launch, openPage } from '../support/browser.js'
import { Members } from '../support/members.js'
import { servePages } from '../support/pages.js'
import { Relay, isRust } from '../support/relay.js'
import { until } from '../support/until.js'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

const members = new Members()
const relays: Relay[] = []
const servers: Server[] = []

after(async () => {
  await members.leave()
  await Promise.all(relays.map(async (relay) => { await relay.remove() }))
  for (const server of servers) server.close()
})

async function startRelay (...args: string[]): Promise<Relay> {
  const relay = await Relay.start(args)
  relays.push(relay)
  return relay
}

async function serveConfig (config: object): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'access-control-allow-origin': '*' }).end(JSON.stringify(config))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const port = (relay: Relay): string => /\/tcp\/(\d+)/.exec(relay.webSocket)?.[1] ?? ''

test('a message above the relay\'s limit is not sent, and one at the limit arrives',
  { skip: isRust ? false : 'PEERWORK_BIN names no program' }, async () => {
    const relay = await startRelay('--max-message-bytes', '8000')
    const url = `http://127.0.0.1:${port(relay)}`
    const [a, b] = [await members.join({ relays: [url], room: 'size', listen: [] }), await members.join({ relays: [url], room: 'size', listen: [] })]
    const heard: number[] = []
    b.subscribe('t', ({ data }) => { heard.push((data as Uint8Array).byteLength) })
    a.subscribe('t', () => {})
    // One byte of a message is the kind of its data.
    await until('the message', async () => {
      await a.publish('t', new Uint8Array(7_999))
      return heard.includes(7_999)
    })
    await assert.rejects(a.publish('t', new Uint8Array(8_000)), (error: unknown) => {
      return error instanceof PeerworkError && error.code === 'too-large' && /8000 bytes/.test(error.message)
    })
  })

test('mistakes of the document are told, and its addresses are used', async () => {
  const relay = await startRelay()
  const url = await serveConfig({ bootstrapPeers: [relay.tcp], iceServers: 'stun:a', gossip: { maxMessageBytes: '7' } })
  const node = await members.join({ relays: [url], room: 'mistakes', listen: [] })
  assert.deepEqual(node.relays.map(({ connected, configMistakes }) => [connected, configMistakes]),
    [[true, ['iceServers is no list', 'gossip.maxMessageBytes is no positive integer']]])
})

test('pages use the ICE servers of the document, unless the option is given', async () => {
  const relay = await startRelay()
  const url = await serveConfig({ bootstrapPeers: [relay.webSocket], iceServers: [{ urls: 'stun:127.0.0.1:9' }] })
  const pages = await servePages({ connect: 'ws://127.0.0.1:* http://127.0.0.1:*' })
  const browser = await launch()
  try {
    const used = async (iceServers?: RTCIceServer[]): Promise<unknown[]> => {
      const two = await Promise.all([0, 1].map(async () => await openPage(browser, pages.url)))
      const room = `ice ${iceServers?.length}`
      await Promise.all(two.map(async (page) => {
        await page.evaluate(async ([relays, room, iceServers]) => {
          const seen: unknown[] = []
          const Original = RTCPeerConnection
          Object.assign(globalThis, {
            seen,
            RTCPeerConnection: class extends Original {
              constructor (configuration?: RTCConfiguration) {
                super(configuration)
                seen.push(configuration?.iceServers)
              }
            }
          })
          const { PeerworkNode } = await import('/index.js' as string) as typeof import('../../src/index.js')
          const node = await PeerworkNode.join({ relays: [relays], room, ...iceServers === undefined ? {} : { iceServers } })
          Object.assign(globalThis, { node })
        }, [url, room, iceServers] as const)
      }))
      await until('a direct connection', async () => await two[0]?.evaluate(() => {
        const { node } = globalThis as unknown as { node: import('../../src/index.js').PeerworkNode }
        return node.peers.some(({ connection }) => connection === 'direct')
      }), 60_000)
      const seen = await Promise.all(two.map(async (page) => await page.evaluate(() => (globalThis as unknown as { seen: unknown[] }).seen)))
      return seen.flat()
    }
    const ofDocument = await used()
    assert.ok(ofDocument.length >= 2)
    for (const servers of ofDocument) assert.deepEqual(servers, [{ urls: ['stun:127.0.0.1:9'] }])
    for (const servers of await used([])) assert.deepEqual(servers, [])
  } finally {
    await closePages(browser)
    await browser.close()
    pages.close()
  }
})
