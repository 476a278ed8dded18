// Builds and serves the examples, and builds them again when a file of theirs or of the package changes.
//
//   npm run dev -- [port] [--relay http://HOST:PORT]
//
// /relay-config.json is that of the running relay (`npm run relay`), so that the pages need no
// ?relay= parameter.

import { watch } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { context } from 'esbuild'
import { copyPages, exampleBundles, serveExamples } from './examples.mjs'
import { fail, onSignals, root } from './program.mjs'

/** The folder of the bundles; that of `npm run examples` stays as it is. */
const folder = join(root, '.dev/dist')
const RELAY_MS = 2_000
const words = process.argv.slice(2)
const at = words.indexOf('--relay')
const relay = at < 0 ? 'http://127.0.0.1:9090' : words[at + 1]
const port = Number(words.find((word, index) => /^\d+$/.test(word) && (at < 0 || index !== at + 1)) ?? 8000)

/** Takes the modules of the package from its sources, so that no build of it is needed. */
async function packageSources () {
  const { exports, imports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const source = (module) => join(root, module.replace('./dist/', '').replace(/\.js$/, '.ts'))
  return {
    name: 'package-sources',
    setup ({ onResolve, onEnd }) {
      onResolve({ filter: /^peerwork(\/|$)/ }, ({ path }) => {
        const entry = exports[path.replace('peerwork', '.')]
        return entry === undefined ? { errors: [{ text: `the package exports no ${path}` }] } : { path: source(entry.default) }
      })
      onResolve({ filter: /^#/ }, ({ path, importer }) => {
        return importer.startsWith(join(root, 'src')) ? { path: source(imports[path].browser) } : undefined
      })
      onEnd(({ errors }) => { console.log(errors.length > 0 ? `not built: ${errors.length} errors` : `built at ${new Date().toLocaleTimeString()}`) })
    }
  }
}

/** Answers with the configuration of the relay that runs now. */
async function answerConfig (request, response) {
  if (!/^\/([\w-]+\/)?relay-config\.json(\?|$)/.test(request.url)) return false
  try {
    const answer = await fetch(new URL('/relay-config.json', relay), { signal: AbortSignal.timeout(RELAY_MS) })
    if (!answer.ok) throw new Error(`it answered ${answer.status}`)
    const text = await answer.text()
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(text)
  } catch {
    response.writeHead(404, { 'content-type': 'text/plain' }).end(`there is no relay at ${relay}: start one by npm run relay\n`)
  }
  return true
}

onSignals(async () => {})
try {
  if (!URL.canParse(relay)) throw new Error('--relay needs the URL of a relay, like http://127.0.0.1:9090')
  const server = await serveExamples(port, { folder, answer: answerConfig }).catch((error) => {
    if (error.code !== 'EADDRINUSE') throw error
    throw new Error(`port ${port} is taken: name another one, like npm run dev -- ${port + 1}`)
  })
  const examples = join(root, 'examples')
  await mkdir(folder, { recursive: true })
  await copyPages(folder)
  const bundles = await exampleBundles(folder)
  const building = await context({ ...bundles, minify: false, sourcemap: 'inline', plugins: [await packageSources()] })
  await building.watch()
  watch(examples, { recursive: true }, (_, name) => {
    if (name !== null && !name.startsWith('dist') && /\.(html|css)$/.test(name)) copyPages(folder).catch((error) => { console.error(error.message) })
  })
  console.log(`http://127.0.0.1:${server.address().port}/ (relay: ${relay})`)
} catch (error) {
  fail(error)
}
