// A program calls an app behind an edge with `fetch`, and prints what came back as one JSON line.
//
//   node calls.mjs URL-OF-THE-APP URL-OF-AN-UNKNOWN-NODE

const [app, unknown] = process.argv.slice(2)
const encoder = new TextEncoder()

/** Sends a message in JSON. */
const post = async (url, message) => await fetch(`${url}/echo`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ message })
})

/** A body without a length, which `fetch` sends in chunks. */
const chunks = (message) => new ReadableStream({
  start (controller) {
    for (const part of JSON.stringify({ message }).split(' ')) controller.enqueue(encoder.encode(`${part} `))
    controller.close()
  }
})

let echoes = 0
for (let n = 0; n < 30; n++) {
  const message = 'grüße '.repeat(100 * n)
  if ((await (await post(app, message)).json()).message === message) echoes++
}
const chunked = await fetch(`${app}/echo`, { method: 'POST', body: chunks('in chunks'), duplex: 'half' })
const leaving = new AbortController()
const events = await fetch(`${app}/events`, { signal: leaving.signal })
const { value } = await events.body.getReader().read()
leaving.abort()
const refused = await fetch(`${app}/echo`)
const missing = await post(unknown, '')
console.log(JSON.stringify({
  echoes,
  chunked: (await chunked.json()).message,
  event: new TextDecoder().decode(value).split('\n')[0],
  refused: [refused.status, await refused.text()],
  unknown: [missing.status, missing.headers.get('content-type'), (await missing.json()).status]
}))
