// A page of a browser that forbids changes of ICE names dials a relay by version 2 of WebRTC-direct, as
// libp2p's specification describes it. The script prints, as one JSON line, the state of the connection
// and the first message of the relay's Noise handshake, with its length in front.
//
//   node webrtc-direct.mjs BROWSER ADDRESS

import { chromium } from 'playwright-core'

const [executablePath, address] = process.argv.slice(2)
const [, , host, , port, , , certhash] = address.split('/')
// The hash has a letter for its base and two bytes for its kind and length in front.
const digest = Buffer.from(certhash.slice(1), 'base64url').subarray(2)
const fingerprint = digest.toString('hex').toUpperCase().match(/../g).join(':')

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/']
})

const dial = async ({ host, port, fingerprint }) => {
  const connection = new RTCPeerConnection()
  const channel = connection.createDataChannel('', { negotiated: true, id: 0 })
  channel.binaryType = 'arraybuffer'
  const first = new Promise((resolve, reject) => {
    channel.onmessage = ({ data }) => resolve(Array.from(new Uint8Array(data)))
    channel.onclose = () => reject(new Error('the channel closed'))
    setTimeout(() => reject(new Error(`no message: ${connection.iceConnectionState}, ${connection.connectionState}`)), 30_000)
  })
  await connection.setLocalDescription(await connection.createOffer())
  const [, password] = connection.localDescription.sdp.match(/^a=ice-pwd:(\S+)/m)
  const name = `libp2p+webrtc+v2/${password}`
  const sdp = [
    'v=0', `o=- 0 0 IN IP4 ${host}`, 's=-', 't=0 0', 'a=ice-lite', 'a=group:BUNDLE 0',
    `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`, `c=IN IP4 ${host}`, 'a=mid:0',
    `a=ice-ufrag:${name}`, `a=ice-pwd:${name}`, `a=fingerprint:sha-256 ${fingerprint}`, 'a=setup:passive',
    'a=sctp-port:5000', 'a=max-message-size:16384', `a=candidate:1 1 UDP 1 ${host} ${port} typ host`,
    'a=end-of-candidates', ''
  ].join('\r\n')
  // The state may follow the first message, which the browser hands to the page by another task.
  const settled = new Promise(resolve => {
    const look = () => ['connected', 'failed', 'closed'].includes(connection.connectionState) && resolve()
    connection.onconnectionstatechange = look
    setTimeout(resolve, 30_000)
    look()
  })
  await connection.setRemoteDescription({ type: 'answer', sdp })
  const message = await first
  await settled
  return { message, state: connection.connectionState }
}

/** Tells whether the browser takes an offer whose ICE names a page has changed, as version 1 does. */
const changed = async () => {
  const connection = new RTCPeerConnection()
  connection.createDataChannel('')
  const { sdp, type } = await connection.createOffer()
  const other = sdp.replace(/^a=ice-(ufrag|pwd):.*$/mg, 'a=ice-$1:libp2p+webrtc+v1/0123456789abcdef')
  return await connection.setLocalDescription({ type, sdp: other }).then(() => 'taken', () => 'refused')
}

try {
  const page = await browser.newPage()
  const saw = await page.evaluate(dial, { host, port, fingerprint })
  console.log(JSON.stringify({ ...saw, changed: await page.evaluate(changed) }))
} finally {
  await browser.close()
}
