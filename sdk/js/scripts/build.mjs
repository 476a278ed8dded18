// Compiles everything, and bundles the package for browsers into dist/browser.

import { spawnSync } from 'node:child_process'
import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'

const root = new URL('..', import.meta.url)
const path = (name) => new URL(name, root).pathname

/** The modules that the package exports for browsers, by the name of their bundle in dist/browser. */
async function entryPoints () {
  const { exports } = JSON.parse(await readFile(path('package.json'), 'utf8'))
  return Object.fromEntries(Object.values(exports).flatMap(({ browser, default: module }) => {
    return browser === undefined ? [] : [[/([^/]+)\.js$/.exec(browser.default)[1], module]]
  }))
}

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

await rm(path('dist'), { recursive: true, force: true })
const tsc = spawnSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '--project', path('tsconfig.json')], { stdio: 'inherit' })
if (tsc.status !== 0) process.exit(tsc.status ?? 1)
const { metafile } = await build({
  absWorkingDir: path('.'),
  entryPoints: await entryPoints(),
  outdir: 'dist/browser',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  // An application has its own copies; a second copy of Yjs does not work with the first.
  external: ['yjs', 'y-protocols'],
  minify: true,
  sourcemap: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning'
})
await writeLicences(Object.keys(metafile.inputs))
