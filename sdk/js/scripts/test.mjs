// Builds everything and runs the tests: all of them, or those of one folder.
//
//   node scripts/test.mjs [unit | integration] [part of a file's name]

import { spawnSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'

const root = new URL('..', import.meta.url)
const path = (name) => new URL(name, root).pathname
const [folder, part = ''] = process.argv.slice(2)

async function run (...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', cwd: path('.') })
  if (status !== 0) process.exit(status ?? 1)
}

await run(path('scripts/build.mjs'))
await run(path('scripts/examples.mjs'), '--build-only')
const files = []
for (const name of folder === undefined ? ['unit', 'integration'] : [folder]) {
  const found = (await readdir(path(`dist/test/${name}`))).filter((file) => file.endsWith('.test.js') && file.includes(part))
  files.push(...found.sort().map((file) => path(`dist/test/${name}/${file}`)))
}
// One file after the other: each starts processes of its own.
await run('--test', '--test-concurrency=1', '--test-timeout=180000', ...files)
