/**
 * This module stores shared states in a folder, one file for each state. The nodes of one process
 * share a folder; a second process gets an error until the first one has ended.
 */

import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { dirname, join, resolve as absolute } from 'node:path'
import { FolderLock } from './folder-lock.js'
import { syncFolder } from './replace-file.js'
import { StateFile } from './state-file.js'
import type { StateStorage } from '../state/storage.js'

/** The characters of a state's name that a file name shows. */
const SHOWN_CHARS_MAX = 64

/** The folders that nodes of this process use. */
const folders = new Map<string, Folder>()

export function folderStorage (name: string): StateStorage {
  const path = absolute(name)
  let folder: Folder | undefined
  const used = (): Folder => {
    folder ??= Folder.use(path)
    return folder
  }
  return {
    load: async (state) => await used().run(state, async (file) => file.records),
    save: async (state, records, resolve) => { await used().run(state, async (file) => { await file.save(records, resolve) }) },
    close: async () => {
      await folder?.leave()
      folder = undefined
    }
  }
}

class Folder {
  readonly #path: string
  readonly #files = new Map<string, StateFile>()
  #lock: FolderLock | undefined
  #users = 0
  /** The last call: calls run one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  private constructor (path: string) {
    this.#path = path
  }

  static use (path: string): Folder {
    const folder = folders.get(path) ?? new Folder(path)
    folders.set(path, folder)
    folder.#users += 1
    return folder
  }

  async run<T> (state: string, work: (file: StateFile) => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      await this.#own()
      const path = join(this.#path, fileName(state))
      const file = this.#files.get(path) ?? await StateFile.open(path)
      this.#files.set(path, file)
      return await work(file)
    })
    this.#last = turn.catch(() => {})
    return await turn
  }

  async leave (): Promise<void> {
    this.#users -= 1
    if (this.#users > 0) return
    const turn = this.#last.then(async () => {
      // A node may have begun to use the folder meanwhile.
      if (this.#users > 0) return
      await this.#lock?.release()
      this.#lock = undefined
      this.#files.clear()
      if (this.#users === 0) folders.delete(this.#path)
    })
    this.#last = turn
    await turn
  }

  /** Takes the lock. What is known of the files counts only as long as the lock is held. */
  async #own (): Promise<void> {
    if (await this.#lock?.isHeld() === true) return
    await this.#lock?.release()
    this.#lock = undefined
    this.#files.clear()
    if (await mkdir(this.#path, { recursive: true, mode: 0o700 }) !== undefined) await syncFolder(dirname(this.#path))
    this.#lock = await FolderLock.take(this.#path)
  }
}

/**
 * The name of a state's file: a readable part, and a hash that tells states apart on every file
 * system, also where letter case does not count.
 */
function fileName (state: string): string {
  const shown = state.toLowerCase().replace(/[^a-z0-9-]+/g, '_').slice(0, SHOWN_CHARS_MAX)
  const hash = createHash('sha256').update(state).digest('hex').slice(0, 32)
  return `${shown}-${hash}.state`
}
