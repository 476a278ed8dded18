// Builds everything and runs the tests: all of them, or those of one folder.
//
//   node scripts/test.mjs [unit | integration] [part of a file's name]
//
// PEERWORK_TEST_REPORT=FILE also writes the report of the test runner to a file, as TAP.

import { spawnSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { namedProgram, root } from './program.mjs'

const path = (name) => join(root, name)
const [folder, part = ''] = process.argv.slice(2)

const env = { ...process.env }
// The tests have another working directory than the user.
if (namedProgram() === undefined) delete env.PEERWORK_BIN
else env.PEERWORK_BIN = namedProgram()

async function run (...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', cwd: path('.'), env })
  if (status !== 0) process.exit(status ?? 1)
}

await run(path('scripts/build.mjs'))
await run(path('scripts/examples.mjs'), '--build-only')
const files = []
for (const name of folder === undefined ? ['unit', 'integration'] : [folder]) {
  const found = (await readdir(path(`dist/test/${name}`))).filter((file) => file.endsWith('.test.js') && file.includes(part))
  files.push(...found.sort().map((file) => path(`dist/test/${name}/${file}`)))
}
const report = process.env.PEERWORK_TEST_REPORT
const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout']
if (report !== undefined) reporters.push('--test-reporter=tap', `--test-reporter-destination=${report}`)
// The files run one after the other, because each starts processes of its own. The timeout is for a
// whole file.
await run('--test', '--test-concurrency=1', '--test-timeout=600000', ...reporters, ...files)
