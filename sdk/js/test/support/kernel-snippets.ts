/**
 * The programs of the document about PeerCompute's relay, as it shows them. Only the ports and the
 * relay's id, which the document leaves open, are filled in.
 */

/** "Use in Your Application", for pages. */
const PAGE = `
const node = new NodeKernel({
  topology: 'distributed',
  bootstrapPeers: [
    '/ip4/127.0.0.1/tcp/9090/ws/p2p/12D3KooW...'  // Use the address from step 2
  ]
});
`

/** "Node.js Client Example". */
const PROGRAM = `
const node = new NodeKernel({
  topology: 'distributed',
  bootstrapPeers: [
    '/ip4/127.0.0.1/tcp/9091/p2p/12D3KooW...'  // TCP for Node.js
  ]
});
`

/** "Multiple Relay Servers", the list alone. */
const SEVERAL = `
bootstrapPeers: [
  '/ip4/127.0.0.1/tcp/9090/ws/p2p/12D3KooW...',
  '/ip4/192.168.1.100/tcp/9090/ws/p2p/12D3KooW...',
  '/dns4/relay.example.com/tcp/443/wss/p2p/12D3KooW...'
]
`

/** "Custom Discovery Topics". */
const DISCOVERY = `
pubsubPeerDiscovery({
  interval: 1000,
  topics: ['my-custom-app._peer-discovery._p2p._pubsub']
})
`

/** Fills in the address of a running relay. */
function filled (snippet: string, address: string): string {
  const [, port = '', id = ''] = /\/tcp\/(\d+)\/.*p2p\/(\w+)$/.exec(address) ?? []
  return snippet.replace(/\/tcp\/909[01]\//, `/tcp/${port}/`).replace('12D3KooW...', id)
}

export const snippets = {
  page: (webSocket: string) => filled(PAGE, webSocket),
  program: (tcp: string) => filled(PROGRAM, tcp),
  /** The first relay runs, and the two others, whose ids are given, are not there. */
  several: (webSocket: string, others: [string, string]) => {
    return others.reduce((text, id) => text.replace('12D3KooW...', id), filled(SEVERAL, webSocket))
  },
  discovery: DISCOVERY
}
