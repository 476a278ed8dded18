/**
 * `FolderLock` lets one process at a time use a folder. Each process that wants the folder creates a
 * file of its own, whose name tells the process, and then lists the folder: it has the lock if there
 * is no file of another living process. As no two processes share a file, a file of a dead process
 * can be removed at any time.
 */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { open, readdir, stat, unlink, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

const PREFIX = 'lock-'
/** The interval at which the owner refreshes the time of its file. */
const REFRESH_MS = 10_000
/** The age at which the file of another machine counts as left behind. */
const LEFT_BEHIND_MS = 60_000

export class FolderLock {
  readonly #path: string
  readonly #timer: ReturnType<typeof setInterval>

  private constructor (path: string) {
    this.#path = path
    this.#timer = setInterval(() => { void utimes(path, new Date(), new Date()).catch(() => {}) }, REFRESH_MS)
    this.#timer.unref()
  }

  /**
   * Takes the lock of a folder.
   *
   * @throws Error naming the process that has the lock.
   */
  static async take (folder: string): Promise<FolderLock> {
    const own = `${PREFIX}${process.pid}-${startOf(process.pid) ?? 0}-${host()}-${randomBytes(6).toString('hex')}`
    const path = join(folder, own)
    await (await open(path, 'wx', 0o600)).close()
    try {
      for (const name of await readdir(folder)) {
        if (!name.startsWith(PREFIX) || name === own) continue
        if (await isLeftBehind(folder, name)) await unlink(join(folder, name)).catch(() => {})
        else throw new Error(`the process ${name.split('-')[1] ?? ''} uses the folder ${folder} (${name})`)
      }
    } catch (error) {
      await unlink(path).catch(() => {})
      throw error
    }
    return new FolderLock(path)
  }

  /** Whether the file of the lock is still there: after a long sleep of the machine it may not be. */
  async isHeld (): Promise<boolean> {
    return await stat(this.#path).then(() => true, () => false)
  }

  async release (): Promise<void> {
    clearInterval(this.#timer)
    await unlink(this.#path).catch(() => {})
  }
}

function host (): string {
  return Buffer.from(hostname()).toString('hex').slice(0, 64)
}

async function isLeftBehind (folder: string, name: string): Promise<boolean> {
  const [, pid = '', start = '', machine] = name.split('-')
  if (machine !== host()) {
    const found = await stat(join(folder, name)).catch(() => undefined)
    return found === undefined || Date.now() - found.mtimeMs > LEFT_BEHIND_MS
  }
  const now = startOf(Number(pid))
  return now === undefined ? !isAlive(Number(pid)) : now !== start
}

/** The time at which a process started, in ticks since the start of the system; Linux only. */
function startOf (pid: number): string | undefined {
  try {
    // The name of the program, in parentheses, may contain anything.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19]
  } catch {
    return undefined
  }
}

function isAlive (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
