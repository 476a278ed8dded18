/** This module finds the relays of a kernel: those in its options, or those in a page's `relay-config.json`. */

import { PeerworkError } from '../errors.js'
import { isObject } from '../bytes.js'
import { RELAYS_MAX } from '../limits.js'
import { dialable, fetchText, isUrl } from '../net/relay-sources.js'

/** The places at which a page looks, in this order. */
const PLACES = ['./relay-config.json', './.relay-config.json', '/relay-config.json', '/.relay-config.json']

/**
 * The relays to join with. Addresses that cannot be dialled from here are left out with a warning,
 * as long as another one can.
 *
 * @throws PeerworkError `invalid-argument` when no relay is named or found.
 */
export async function relaysOf (bootstrapPeers: readonly string[], signal: AbortSignal): Promise<string[]> {
  const named = bootstrapPeers.length > 0 ? bootstrapPeers : await relaysOfPage(signal)
  if (named.length === 0) {
    throw new PeerworkError('invalid-argument', globalThis.document === undefined
      ? 'no relay: give the address that the relay printed, as bootstrapPeers: [\'/ip4/…/tcp/9091/p2p/…\']'
      : `no relay: give bootstrapPeers, or serve a relay-config.json (looked for at ${PLACES.join(', ')})`)
  }
  const usable = named.filter((address) => isUrl(address) || dialable([address]).length > 0)
  // join() says what is wrong with an address.
  if (usable.length === 0) return named.slice(0, RELAYS_MAX)
  const others = [...named.filter((address) => !usable.includes(address)), ...usable.slice(RELAYS_MAX)]
  if (others.length > 0) {
    console.warn(`[peerwork] bootstrapPeers that are not used, because they cannot be dialled from here or are more than ${RELAYS_MAX}: ${others.join(', ')}`)
  }
  return usable.slice(0, RELAYS_MAX)
}

/** The URL of the first `relay-config.json` that names relays; the node reads all of its settings there. */
async function relaysOfPage (signal: AbortSignal): Promise<string[]> {
  if (globalThis.document === undefined) return []
  for (const place of PLACES) {
    const url = new URL(place, document.baseURI)
    if (await namesRelays(url, signal)) return [url.href]
  }
  return []
}

async function namesRelays (url: URL, signal: AbortSignal): Promise<boolean> {
  try {
    const config: unknown = JSON.parse(await fetchText(url, signal))
    const peers = isObject(config) ? config['bootstrapPeers'] : undefined
    return Array.isArray(peers) && peers.length > 0
  } catch {
    signal.throwIfAborted()
    return false
  }
}
