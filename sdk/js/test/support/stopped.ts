/**
 * This module stops processes for a time by SIGSTOP, as the sleep of a computer does: the processes
 * run no code, and their connections neither answer nor end.
 */

import { readFileSync, readdirSync } from 'node:fs'

/** Stops a process and all processes that it started for a time, and lets them go on. */
export async function stopFor (pid: number, ms: number): Promise<void> {
  const all = [pid, ...descendants(pid)]
  for (const one of all) signal(one, 'SIGSTOP')
  try {
    await new Promise((resolve) => { setTimeout(resolve, ms) })
  } finally {
    for (const one of all) signal(one, 'SIGCONT')
  }
}

function signal (pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // The process has ended meanwhile.
  }
}

/** The processes below a process, from Linux's `/proc`. */
function descendants (pid: number): number[] {
  const parents = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const [, parent] = /^\d+ \(.*\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? []
      return [{ pid: Number(name), parent: Number(parent) }]
    } catch {
      return []
    }
  })
  const below = (root: number): number[] => {
    return parents.filter(({ parent }) => parent === root).flatMap((one) => [one.pid, ...below(one.pid)])
  }
  return below(pid)
}
