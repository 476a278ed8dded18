// Starts the relay of the Rust program, for development.
//
//   npm run relay -- [arguments of `peerwork relay`]
//
// The relay has the ports 9090 (WebSocket) and 9091 (TCP) unless the arguments name others. Its
// identity is in the folder .relay of the package, so that its addresses stay.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { exitOf, fail, findProgram, onSignals, root } from './program.mjs'

const given = process.argv.slice(2)
const own = given.some((argument) => /^--data-dir(=|$)/.test(argument)) ? [] : ['--data-dir', join(root, '.relay')]

try {
  const child = spawn(findProgram(), ['relay', ...own, ...given], { stdio: 'inherit' })
  const exited = exitOf(child)
  onSignals(async (signal) => {
    // Ctrl-C reaches the relay too, and a second signal would cut its end short.
    if (signal !== 'SIGINT') child.kill('SIGTERM')
    process.exit(await exited)
  })
  process.exitCode = await exited
} catch (error) {
  fail(error)
}
