/**
 * A program that joins a room without a relay, prints the stored state and writes to it until it is
 * killed: `stored-writer.js FOLDER [bytes of each value]`. It prints `saved N` when write N is durable.
 */

import { PeerworkNode } from '../../src/index.js'

const [folder = '', bytes = '0'] = process.argv.slice(2)
const node = await PeerworkNode.join({
  relays: ['/ip4/127.0.0.1/tcp/9/p2p/12D3KooWGzqRyoCGXAYbU1Eob6ZvVfB5Gvyv2WxAxqcnvMYsDqHF'],
  room: 'stored', persist: folder, timeoutMs: 0, listen: []
})
node.on('state:unsaved', ({ name, reason }) => { console.log(`unsaved ${name}: ${reason}`) })
const state = node.state<number | string>('s')
await state.saved()
console.log(`loaded ${JSON.stringify(state.toObject())}`)
const first = Number(state.get('n') ?? 0)
for (let n = first + 1; ; n += 1) {
  state.set('n', n)
  state.set(`key ${n % 7}`, bytes === '0' ? n : `${n} ${'x'.repeat(Number(bytes))}`)
  state.delete(`key ${(n + 3) % 7}`)
  try {
    await state.saved()
    console.log(`saved ${n}`)
  } catch (error) {
    console.log(`failed ${(error as { code?: string }).code} ${n}`)
    break
  }
}
// Values that are smaller leave room for a new file.
for (const key of state.keys()) state.set(key, 0)
await state.saved().then(() => { console.log('recovered') }, () => { console.log('not recovered') })
await node.leave()
