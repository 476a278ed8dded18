/**
 * `Turns` runs one piece of work for each key at a time, such as a comparison with one peer: two at
 * once would transfer the same data twice.
 */

export class Turns {
  readonly #running = new Map<string, Promise<unknown>>()
  readonly #next = new Map<string, Promise<unknown>>()

  /**
   * Runs work at once, or after the work that runs for the key. All calls that wait share one run,
   * that of the first of them.
   */
  async run<T> (key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running === undefined) return await this.note(key, work())
    const next = this.#next.get(key) ?? running.catch(() => {}).then(async () => {
      this.#next.delete(key)
      return await this.run(key, work)
    })
    this.#next.set(key, next)
    return await (next as Promise<T>)
  }

  /** Makes further work for the key wait for work that runs already. */
  note<T> (key: string, work: Promise<T>): Promise<T> {
    const over = work.finally(() => {
      if (this.#running.get(key) === over) this.#running.delete(key)
    })
    if (!this.#running.has(key)) this.#running.set(key, over)
    return over
  }
}
