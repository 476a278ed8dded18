/** From what the user named to the addresses of relays. */

import { peersIn, parseAddress, wayOf } from './addresses.js'
import { PeerworkError, messageOf } from '../errors.js'
import { RELAYS_MAX, RELAY_ADDRESSES_MAX, RELAY_CONFIG_BYTES_MAX } from '../limits.js'
import { isObject } from '../bytes.js'
import { platform } from '#platform'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Way } from './addresses.js'

const FETCH_DEADLINE_MS = 5000

/** Addresses of relays by the relays' ids. */
export type RelayAddresses = Map<string, Multiaddr[]>

/** What `join` was given: addresses as they are, and URLs to ask. */
export interface RelaySources {
  fixed: RelayAddresses
  urls: URL[]
}

/**
 * Sorts what the user named.
 *
 * @throws PeerworkError `invalid-argument` naming the entry that is neither a URL nor the address of
 * a relay that can be dialled from here.
 */
export function parseSources (relays: readonly string[]): RelaySources {
  if (relays.length === 0) {
    throw new PeerworkError('invalid-argument', 'relays is empty: name at least one relay')
  }
  const sources: RelaySources = { fixed: new Map(), urls: [] }
  for (const entry of relays) {
    const url = /^https?:\/\//i.test(entry) ? parseUrl(entry) : undefined
    if (url !== undefined) sources.urls.push(url)
    else addRelay(sources.fixed, entry)
  }
  return sources
}

function parseUrl (entry: string): URL {
  try {
    const url = new URL(entry)
    if (url.pathname.endsWith('.json')) return url
    url.pathname = `${url.pathname.replace(/\/$/, '')}/relay-config.json`
    return url
  } catch (cause) {
    throw new PeerworkError('invalid-argument', `relay "${entry}" is no URL`, { cause })
  }
}

function addRelay (relays: RelayAddresses, entry: string): void {
  const address = parseAddress(collapsed(entry))
  const id = address === undefined ? undefined : peersIn(address).at(-1)
  if (address === undefined || id === undefined) {
    throw new PeerworkError('invalid-argument',
      `relay "${entry}" is no http(s) URL and no multiaddr that ends with /p2p/<id>`)
  }
  const way = wayOf(address)
  if (way === undefined || !DIALLED[platform.name].includes(way)) {
    throw new PeerworkError('invalid-argument',
      `relay "${entry}" cannot be dialled from ${platform.name === 'browser' ? 'a browser, which needs /ws, /tls/ws or /webrtc-direct' : 'Node.js'}`)
  }
  const addresses = relays.get(id) ?? []
  relays.set(id, addresses)
  if (addresses.length < RELAY_ADDRESSES_MAX && !addresses.some((known) => known.equals(address))) {
    addresses.push(address)
  }
}

const DIALLED: Record<'browser' | 'node', Way[]> = {
  browser: ['web-socket', 'web-rtc-direct'],
  node: ['tcp', 'web-socket']
}

/** Some relays print their id twice. */
function collapsed (entry: string): string {
  return entry.trim().replace(/(\/p2p\/[^/]+)\1$/, '$1')
}

/**
 * Asks one URL for `{"bootstrapPeers": ["<multiaddr>", …]}`. Entries that cannot be dialled from
 * here are skipped.
 *
 * @throws PeerworkError `relay-unreachable` when there is no such answer or nothing in it is usable.
 */
export async function fetchRelays (url: URL, signal: AbortSignal): Promise<RelayAddresses> {
  const entries = await fetchConfig(url, signal)
  const relays: RelayAddresses = new Map()
  for (const entry of entries.slice(0, RELAYS_MAX * RELAY_ADDRESSES_MAX)) {
    try {
      addRelay(relays, entry)
    } catch {}
  }
  if (relays.size === 0) throw unreachable(url, 'it names no relay that can be dialled from here')
  return relays
}

async function fetchConfig (url: URL, signal: AbortSignal): Promise<string[]> {
  let text: string
  try {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(FETCH_DEADLINE_MS)])
    const response = await fetch(url, { cache: 'no-store', signal: inTime })
    if (!response.ok) throw new Error(`the answer is ${response.status}`)
    text = await boundedText(response)
  } catch (cause) {
    signal.throwIfAborted()
    throw unreachable(url, messageOf(cause), cause)
  }
  const config = parsed(text)
  const peers = isObject(config) ? config['bootstrapPeers'] : undefined
  if (!Array.isArray(peers)) throw unreachable(url, 'the answer has no list "bootstrapPeers"')
  return peers.filter((entry): entry is string => typeof entry === 'string')
}

async function boundedText (response: Response): Promise<string> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const part = await reader?.read()
    if (part === undefined || part.done) return text
    text += decoder.decode(part.value, { stream: true })
    if (text.length > RELAY_CONFIG_BYTES_MAX) throw new Error('the answer is too long')
  }
}

function parsed (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function unreachable (url: URL, why: string, cause?: unknown): PeerworkError {
  return new PeerworkError('relay-unreachable', `asking ${url} for relays: ${why}`, { cause })
}
