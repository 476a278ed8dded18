/** This module writes files so that a crash leaves either the old file or the new one. */

import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a new file of mode 0600, and puts it in the place of the old one.
 *
 * @param aside the path of the new file until it is durable, in the same folder
 */
export async function replaceFile (path: string, bytes: Uint8Array, aside: string): Promise<void> {
  const file = await open(aside, 'w', 0o600)
  try {
    await writeAt(file, bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(aside, path)
  await syncFolder(dirname(path))
}

/** Writes all bytes; `write` alone may write a part where the disk is nearly full. */
export async function writeAt (file: Awaited<ReturnType<typeof open>>, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done)
    done += bytesWritten
  }
}

/** Makes a rename durable, on systems where a folder can be opened. */
export async function syncFolder (path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  try {
    await folder?.sync()
  } catch {
    // Windows and some network file systems cannot sync a folder.
  } finally {
    await folder?.close()
  }
}
