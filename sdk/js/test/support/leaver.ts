/**
 * A process without `process.exit` that joins a room by options in JSON, leaves it, and tells how long
 * that took and how long it ran afterwards.
 *
 *   node leaver.js <scenario> <options>
 */

import { PeerworkError, PeerworkNode } from '../../src/index.js'
import type { JoinOptions } from '../../src/index.js'

/** The commands on standard input tell the process to go on. */
async function told (): Promise<void> {
  await new Promise<void>((resolve) => {
    process.stdin.once('data', () => {
      process.stdin.destroy()
      resolve()
    })
  })
}

async function work (node: PeerworkNode): Promise<void> {
  node.compute.offer({ workers: 1 })
  node.state('board').set('title', 'ours')
  node.subscribe('news', () => {})
  node.onMessage(() => {})
  await node.handleStream('app', () => {})
  const failed = (): void => {}
  node.publish('news', 'hello').catch(failed)
  node.compute.run(({ n }) => n, { n: 1 }).catch(failed)
  // The call waits for an edge that nobody knows, or for an app that does not answer.
  node.fetch(process.argv[4] ?? `peerwork://${node.relays[0]?.id ?? ''}/1/`).catch(failed)
  for (const { id } of node.peers) {
    node.send(id, 'hello').catch(failed)
    node.openStream(id, 'app').catch(failed)
  }
}

const [scenario, text = ''] = process.argv.slice(2)
const options = { room: 'leaver', timeoutMs: 1_000, ...JSON.parse(text) as Partial<JoinOptions> } as JoinOptions
let began = Date.now()
try {
  const node = await PeerworkNode.join(options)
  if (scenario === 'work') await work(node)
  if (scenario === 'wait') {
    await work(node)
    console.log('joined')
    await told()
  }
  began = Date.now()
  await node.leave()
  console.log(`left in ${Date.now() - began} ms`)
} catch (error) {
  console.log(`failed with ${error instanceof PeerworkError ? error.code : String(error)}`)
}
const ended = Date.now()
console.log(`held ${process.getActiveResourcesInfo().join(' ')}`)
process.on('exit', () => { console.log(`ended after ${Date.now() - ended} ms`) })
