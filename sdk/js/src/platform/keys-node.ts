/** This module stores identities in files. */

import { readFile } from 'node:fs/promises'
import { utf8 } from '../bytes.js'
import { replaceFile } from './replace-file.js'
import type { KeyStorage } from './platform.js'

/**
 * Stores the key in a file that only its owner may read.
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
      await replaceFile(path, utf8(text), `${path}.${process.pid}.tmp`)
    }
  }
}
