// A Helia node with Bitswap over TCP, which asks and finds nobody by itself.
//
//   node helia.mjs serve PROFILE    adds a tree, prints its address and the CIDs, and serves until it is killed
//   node helia.mjs fetch ADDRESS CID   fetches a tree from a node, and prints the hash of each file
//
// Each line of the output is a JSON object.

import './node20.mjs'
import { createHash } from 'node:crypto'
import { withBitswap } from '@helia/bitswap'
import { unixfs } from '@helia/unixfs'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
// The package's index and @helia/libp2p need Node.js 22, for the gateways and routers that this node does
// without.
import { Helia } from './node_modules/helia/dist/src/helia.js'

const report = (line) => { console.log(JSON.stringify(line)) }

const start = async () => {
  const libp2p = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() }
  })
  const helia = new Helia({ name: 'helia', version: 'test' })
  helia.libp2p = libp2p
  withBitswap(helia)
  await helia.start()
  return helia
}

/** Bytes that look random and are the same in each run. */
const content = (length, seed) => {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** The hash of each file below a CID, by its path. */
const read = async (fs, cid, path, files) => {
  const { type } = await fs.stat(cid)
  if (type !== 'directory') {
    const whole = createHash('sha256')
    for await (const piece of fs.cat(cid)) whole.update(piece)
    files[path] = whole.digest('hex')
    return
  }
  let reading = []
  for await (const entry of fs.ls(cid)) {
    reading.push(read(fs, entry.cid, `${path}/${entry.name}`, files))
    if (reading.length === 16) {
      await Promise.all(reading)
      reading = []
    }
  }
  await Promise.all(reading)
}

const serve = async (profile) => {
  const helia = await start()
  const fs = unixfs(helia)
  const files = {}
  const source = []
  for (let number = 0; number < 40; number++) {
    const bytes = content(number === 0 ? 3_000_000 : 1000 + number, number + 1)
    const path = `tree/${number % 2 === 0 ? 'even' : 'odd'}/file${number}`
    files[path.slice('tree'.length)] = hash(bytes)
    source.push({ path, content: bytes })
  }
  // A directory that is too large for one block in either profile.
  for (let number = 0; number < 1150; number++) {
    const path = `tree/many/${'n'.repeat(226)}${String(number).padStart(4, '0')}`
    const bytes = content(number % 50, number + 1)
    files[path.slice('tree'.length)] = hash(bytes)
    source.push({ path, content: bytes })
  }
  // The profile counts only where Helia's own defaults are taken away.
  const options = { profile, cidVersion: undefined, rawLeaves: undefined, layout: undefined, chunker: undefined }
  let root
  for await (const entry of fs.addAll(source, options)) root = entry.cid
  report({ address: helia.libp2p.getMultiaddrs()[0].toString(), root: root.toString(), files })
  setInterval(() => {}, 60_000)
}

const fetch = async (address, root) => {
  const helia = await start()
  await helia.libp2p.dial(multiaddr(address))
  const files = {}
  await read(unixfs(helia), CID.parse(root), '', files)
  await helia.stop()
  // An exit would cut off what the pipe has not taken yet.
  process.stdout.write(`${JSON.stringify({ files })}\n`, () => process.exit(0))
}

const [command, ...rest] = process.argv.slice(2)
await { serve, fetch }[command](...rest)
