// Compiles everything, and bundles the package for browsers into dist/browser.

import { spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { root } from './program.mjs'

const path = (name) => join(root, name)

/** The modules that the package exports for browsers, by the name of their bundle in dist/browser. */
async function entryPoints () {
  const { exports } = JSON.parse(await readFile(path('package.json'), 'utf8'))
  return Object.fromEntries(Object.values(exports).flatMap(({ browser, default: module }) => {
    return browser === undefined ? [] : [[/([^/]+)\.js$/.exec(browser.default)[1], module]]
  }))
}

/**
 * Entry points that are not published. As a second way to the node, this one moves its code out of
 * index.js into a chunk, and bundlers of applications can leave out a chunk as a whole.
 */
const UNNAMED = { unnamed: './dist/src/node.js' }

/** Collects the licences of the bundled libraries, which demand that copies of the code include them. */
async function writeLicences (inputs) {
  const packages = new Set(inputs.flatMap((input) => {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? []
    return name === undefined ? [] : [name]
  }))
  const texts = await Promise.all([...packages].sort().map(async (name) => {
    const { version, license, homepage } = JSON.parse(await readFile(path(`node_modules/${name}/package.json`), 'utf8'))
    const files = (await readdir(path(`node_modules/${name}`))).filter((file) => /^licen[cs]e/i.test(file)).sort()
    const found = await Promise.all(files.map((file) => readFile(path(`node_modules/${name}/${file}`), 'utf8')))
    const text = found.join('\n\n') || `The package has no licence file; see ${homepage}`
    return `${name} ${version} (${license})\n\n${text}`
  }))
  await writeFile(path('dist/browser/THIRD-PARTY-LICENCES.txt'), texts.join(`\n${'-'.repeat(80)}\n`))
}

/**
 * Moves the source maps out of the folder that is published, into dist/maps. The bundles do not name
 * them, so that a page without them causes no warnings.
 */
async function moveMaps () {
  await mkdir(path('dist/maps'))
  for (const name of await readdir(path('dist/browser'))) {
    if (name.endsWith('.map')) await rename(path(`dist/browser/${name}`), path(`dist/maps/${name}`))
  }
}

/**
 * Leaves the definitions of gossipsub's metrics out of the bundles: 20 kB that only a node with a
 * metrics register uses, which pages have none of.
 */
const withoutGossipMetrics = {
  name: 'without-gossip-metrics',
  setup: ({ onLoad }) => onLoad({ filter: /@libp2p\/gossipsub\/dist\/src\/metrics\.js$/ }, async (file) => {
    const source = await readFile(file.path, 'utf8')
    const start = source.indexOf('export function getMetrics(')
    if (start < 0) throw new Error('gossipsub defines its metrics elsewhere')
    return { contents: `${source.slice(0, start)}\nexport function getMetrics () { throw new Error('this bundle has no metrics') }` }
  })
}

/**
 * Blanks the imports that take nothing from a chunk. esbuild writes them to keep an order of side
 * effects, which no chunk has, and bundlers of applications warn of them. Spaces keep the source
 * maps true.
 */
async function dropBareImports () {
  for (const name of await readdir(path('dist/browser'))) {
    if (!name.endsWith('.js')) continue
    const text = await readFile(path(`dist/browser/${name}`), 'utf8')
    await writeFile(path(`dist/browser/${name}`), text.replace(/import"\.\/[\w-]+\.js";/g, (found) => ' '.repeat(found.length)))
  }
}

await rm(path('dist'), { recursive: true, force: true })
const tsc = spawnSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '--project', path('tsconfig.json')], { stdio: 'inherit' })
if (tsc.status !== 0) process.exit(tsc.status ?? 1)
const { metafile } = await build({
  absWorkingDir: path('.'),
  entryPoints: { ...await entryPoints(), ...UNNAMED },
  outdir: 'dist/browser',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  // An application has its own copies; a second copy of Yjs does not work with the first.
  external: ['yjs', 'y-protocols'],
  minify: true,
  sourcemap: 'external',
  legalComments: 'none',
  metafile: true,
  plugins: [withoutGossipMetrics],
  logLevel: 'warning'
})
await moveMaps()
await dropBareImports()
for (const name of Object.keys(UNNAMED)) await rm(path(`dist/browser/${name}.js`))
// `scripts/sizes.mjs` reads which bundle imports which.
await writeFile(path('dist/meta.json'), JSON.stringify(metafile))
await writeLicences(Object.keys(metafile.inputs))
