/** This module stores identities in files. */

import { open, readFile, rename } from 'node:fs/promises'
import type { KeyStorage } from './platform.js'

/**
 * Stores the key in a file. A temporary file is written and renamed, so that a crash leaves either
 * the old file or the new file.
 */
export async function keyStorage (path: string): Promise<KeyStorage> {
  return {
    load: async () => {
      try {
        return await readFile(path, 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    save: async (text) => {
      const aside = `${path}.${process.pid}.tmp`
      const file = await open(aside, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(aside, path)
    }
  }
}
