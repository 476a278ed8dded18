// Measures what a page loads for each entry point of the package, and what `npm pack` makes.
//
//   node scripts/sizes.mjs [--write | --check]
//
// Without an argument it prints the table; --write puts it into README.md; --check fails when the
// table there differs by more than 2 %, or a size is above its bound. Run `npm run build` before.

import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { root } from './program.mjs'

const path = (name) => join(root, name)
const TOLERANCE = 0.02
/** The largest sizes in kB (1000 bytes), by entry point: as it is, and with gzip. */
const BOUNDS = {
  peerwork: [680, 205],
  'peerwork/compute': [3, 2],
  'peerwork/fetch': [520, 162],
  'peerwork/identity': [165, 56],
  'peerwork/peercompute': [720, 220],
  'peerwork/yjs': [40, 18]
}
const PACKED_BOUND = 450

/**
 * The bundle of an entry point and all chunks that it imports at once; `import()` comes later, and
 * packages outside the bundle (Yjs) are the application's.
 */
function filesOf (outputs, file, found = new Set()) {
  if (found.has(file)) return found
  found.add(file)
  for (const { path, kind, external } of outputs[file].imports) {
    if (kind === 'import-statement' && !external) filesOf(outputs, path, found)
  }
  return found
}

async function bundles () {
  const { exports } = JSON.parse(await readFile(path('package.json'), 'utf8'))
  const { outputs } = JSON.parse(await readFile(path('dist/meta.json'), 'utf8'))
  return await Promise.all(Object.entries(exports).filter(([, { browser }]) => browser).map(async ([name, { browser }]) => {
    const files = [...filesOf(outputs, browser.default.replace('./', ''))]
    const texts = await Promise.all(files.map((file) => readFile(path(file))))
    const sum = (sizes) => sizes.reduce((all, size) => all + size, 0) / 1000
    return {
      name: name.replace('.', 'peerwork'),
      raw: sum(texts.map(({ length }) => length)),
      gzip: sum(texts.map((text) => gzipSync(text, { level: 9 }).length))
    }
  }))
}

/** The kB of the package's archive. */
function packed () {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: path('.'), encoding: 'utf8' })
  return JSON.parse(stdout)[0].size / 1000
}

function tableOf (all, archive) {
  return [
    '| `import … from` | kB | kB with gzip | at most |',
    '|---|---|---|---|',
    ...all.map(({ name, raw, gzip }) => `| \`${name}\` | ${raw.toFixed(1)} | ${gzip.toFixed(1)} | ${BOUNDS[name].join(' / ')} |`),
    `| the package, as \`npm install\` loads it | | ${archive.toFixed(1)} | ${PACKED_BOUND} |`
  ].join('\n')
}

const numbers = (table) => [...table.matchAll(/(?<=\| )[\d.]+(?= \|)/g)].map(Number)

function failures (all, archive, stated, table) {
  const failed = all.flatMap(({ name, raw, gzip }) => {
    const bounds = BOUNDS[name] ?? [0, 0]
    return raw > bounds[0] || gzip > bounds[1] ? [`${name} has ${raw.toFixed(1)} kB (${gzip.toFixed(1)} kB with gzip), above ${bounds.join(' / ')}`] : []
  })
  if (archive > PACKED_BOUND) failed.push(`the package has ${archive.toFixed(1)} kB, above ${PACKED_BOUND}`)
  const [old, now] = [numbers(stated), numbers(table)]
  // Tenths of a kB of a tiny bundle are no difference.
  const differs = (size, at) => Math.abs(size - (old[at] ?? 0)) > Math.max(TOLERANCE * size, 0.1)
  if (old.length !== now.length || now.some(differs)) failed.push('the table in README.md is out of date: run `node scripts/sizes.mjs --write`')
  return failed
}

const all = await bundles()
const archive = packed()
const table = tableOf(all, archive)
const readme = await readFile(path('README.md'), 'utf8')
const stated = /\| `import … from`[^]*?(?=\n\n)/.exec(readme)?.[0] ?? ''
if (process.argv.includes('--write')) await writeFile(path('README.md'), readme.replace(stated, () => table))
else console.log(table)
if (process.argv.includes('--check')) {
  const failed = failures(all, archive, stated, table)
  for (const text of failed) console.error(text)
  process.exitCode = failed.length > 0 ? 1 : 0
}
