/** This module waits for a condition until a deadline. */

/** Polls `condition` and returns its first value that is neither `undefined` nor `false`. */
export async function until<T> (
  what: string, condition: () => T | undefined | false | Promise<T | undefined | false>, deadlineMs = 30_000
): Promise<T> {
  const deadline = Date.now() + deadlineMs
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== false) return value
    if (Date.now() > deadline) throw new Error(`waited for ${what} for ${deadlineMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
