// Bundles the examples into examples/dist and serves them.
//
//   node scripts/examples.mjs [--build-only] [port]

import { createReadStream } from 'node:fs'
import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { fail, onSignals } from './program.mjs'

const root = fileURLToPath(new URL('../examples/', import.meta.url))
const out = join(root, 'dist')
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8'
}

/** The folders with a page and its program. */
async function exampleNames () {
  const files = await readdir(root, { recursive: true })
  return files.flatMap((file) => /^([^/]+)\/main\.ts$/.exec(file)?.[1] ?? []).sort()
}

/** The settings by which esbuild bundles the examples. */
export async function exampleBundles (folder = out) {
  const names = await exampleNames()
  return {
    absWorkingDir: root,
    entryPoints: Object.fromEntries(names.map((name) => [`${name}/main`, `${name}/main.ts`])),
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    logLevel: 'warning'
  }
}

/** Copies the pages and the style sheet beside the bundles. */
export async function copyPages (folder = out) {
  await cp(join(root, 'index.html'), join(folder, 'index.html'))
  await cp(join(root, 'shared/style.css'), join(folder, 'style.css'))
  for (const name of await exampleNames()) await cp(join(root, name, 'index.html'), join(folder, name, 'index.html'))
}

export async function buildExamples () {
  await rm(out, { recursive: true, force: true })
  await mkdir(out, { recursive: true })
  await build(await exampleBundles())
  await copyPages()
}

/** The path that a request names, with a leading `/` and without `..`; undefined if it is malformed. */
function pathOf (request) {
  try {
    return normalize(decodeURIComponent(new URL(`http://x${request.url}`).pathname))
  } catch {
    return undefined
  }
}

async function answerFile (request, response, folder) {
  const path = pathOf(request)
  if (path === undefined || path.includes('\0')) return response.writeHead(400).end()
  let file = join(folder, path)
  const found = await stat(file).catch(() => undefined)
  if (found?.isDirectory()) {
    if (!path.endsWith('/')) return response.writeHead(301, { location: `${path}/${new URL(`http://x${request.url}`).search}` }).end()
    file = join(file, 'index.html')
  } else if (found === undefined) return response.writeHead(404).end()
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'cache-control': 'no-store' })
  createReadStream(file).once('error', () => { response.destroy() }).pipe(response)
}

/**
 * Serves the bundled examples; port 0 takes any free one. `answer` may answer a request before, and
 * returns whether it did.
 */
export async function serveExamples (port, { host = '127.0.0.1', folder = out, answer = async () => false } = {}) {
  const server = createServer(async (request, response) => {
    if (!await answer(request, response)) await answerFile(request, response, folder)
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  return server
}

async function main (words) {
  await buildExamples()
  if (words.includes('--build-only')) return
  // A signal may end npm alone.
  onSignals(async () => {})
  const server = await serveExamples(Number(words.find((word) => /^\d+$/.test(word)) ?? 8000))
  console.log(`http://127.0.0.1:${server.address().port}/`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2)).catch(fail)
