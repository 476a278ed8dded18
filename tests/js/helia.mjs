// A Helia node with Bitswap over TCP, which asks and finds nobody by itself.
//
//   node helia.mjs serve            adds a tree, prints its address and the CIDs, and serves until it is killed
//   node helia.mjs fetch ADDRESS CID   fetches a tree from a node, and prints the hash of each file
//
// Each line of the output is a JSON object.

import { createHash } from 'node:crypto'
import { bitswap } from '@helia/bitswap'
import { unixfs } from '@helia/unixfs'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createHelia } from 'helia'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'

const report = (line) => { console.log(JSON.stringify(line)) }
