/** `MemoryStorage` is a storage of an application, as the documentation shows it. */

import type { ResolveRecords, StateRecord, StateStorage } from '../../src/index.js'

export class MemoryStorage implements StateStorage {
  readonly states = new Map<string, Map<string, StateRecord>>()
  /** Runs before each call; a test makes it fail or wait. */
  before: (call: 'load' | 'save') => Promise<void> | void = () => {}
  closed = 0

  async load (state: string): Promise<StateRecord[]> {
    await this.before('load')
    return structuredClone([...this.states.get(state)?.values() ?? []])
  }

  async save (state: string, records: StateRecord[], resolve: ResolveRecords): Promise<void> {
    await this.before('save')
    const stored = this.states.get(state) ?? new Map<string, StateRecord>()
    this.states.set(state, stored)
    for (const record of records) {
      const known = stored.get(record.key)
      stored.set(record.key, structuredClone(known === undefined ? record : resolve(known, record)))
    }
  }

  async close (): Promise<void> {
    this.closed += 1
  }
}
