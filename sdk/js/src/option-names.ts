/** This module finds options whose names are misspelt, which JavaScript would ignore without a word. */

import { PeerworkError } from './errors.js'

/** Names that users give to options of `PeerworkNode.join`, and the names that these options have. */
export const JOIN_NAMES: Readonly<Record<string, string>> = {
  bootstrap: 'relays',
  bootstrapPeers: 'relays',
  roomId: 'room',
  roomName: 'room',
  displayName: 'name',
  nickname: 'name',
  userName: 'name',
  timeout: 'timeoutMs',
  network: 'networkId',
  storage: 'persist',
  persistence: 'persist',
  key: 'identity',
  privateKey: 'identity'
}

/** Lets names differ by capitals, dashes and a plural. */
const plain = (name: string): string => name.toLowerCase().replace(/[^a-z]/g, '').replace(/s$/, '')

/**
 * Checks that options are an object without a misspelt name. A name without any likeness to an
 * option is ignored, and so is one beside the option that it resembles: objects with further fields
 * may be given as options.
 *
 * @throws PeerworkError `invalid-argument` naming the option that was meant.
 */
export function checkOptionNames (options: unknown, known: readonly string[], names: Readonly<Record<string, string>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new PeerworkError('invalid-argument', `the options are an object with the fields ${known.slice(0, 3).join(', ')}, …`)
  }
  const given = options as Record<string, unknown>
  const pairs = [...Object.entries(names).filter(([, name]) => known.includes(name)), ...known.map((name) => [name, name] as const)]
  const aliases = new Map(pairs.map(([alias, name]) => [plain(alias), name]))
  for (const name of Object.keys(given)) {
    const meant = known.includes(name) ? undefined : aliases.get(plain(name))
    if (meant !== undefined && given[name] !== undefined && given[meant] === undefined) {
      throw new PeerworkError('invalid-argument', `there is no option ${name}: its name here is ${meant}`)
    }
  }
}
