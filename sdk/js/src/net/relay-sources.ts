/** This module resolves the relays that the user named, addresses and URLs, to multiaddrs. */

import { peersIn, parseAddress, transportOf } from './addresses.js'
import { PeerworkError, messageOf } from '../errors.js'
import { RELAYS_MAX, RELAY_ADDRESSES_MAX, RELAY_CONFIG_BYTES_MAX } from '../limits.js'
import { parseConfig } from './relay-config.js'
import { platform } from '#platform'
import type { ErrorFacts } from '../errors.js'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { TransportKind } from './addresses.js'
import type { RelayConfig } from './relay-config.js'

const FETCH_DEADLINE_MS = 5000

/** The addresses of relays, by the relays' peer ids. */
export type RelayAddresses = Map<string, Multiaddr[]>

/** The relays given to `join`: multiaddrs, and URLs of documents that list relays. */
export interface RelaySources {
  fixed: RelayAddresses
  urls: URL[]
}

/**
 * Sorts the entries that the user gave into addresses and URLs.
 *
 * @param invited addresses in a ticket; those that this node cannot dial are skipped
 * @throws PeerworkError `invalid-argument` naming an entry that is neither a URL nor the address of
 * a relay that this node can dial.
 */
export function parseSources (relays: readonly string[], invited: readonly string[] = []): RelaySources {
  if (relays.length === 0 && invited.length === 0) {
    throw new PeerworkError('invalid-argument', 'relays is empty: name at least one relay')
  }
  const sources: RelaySources = { fixed: new Map(), urls: [] }
  for (const entry of relays) {
    if (isUrl(entry)) sources.urls.push(parseUrl(entry))
    else addRelay(sources.fixed, entry)
  }
  for (const address of dialable(invited)) addRelay(sources.fixed, address.toString())
  if (sources.fixed.size === 0 && sources.urls.length === 0) {
    throw new PeerworkError('invalid-argument',
      `the ticket names no relay that can be dialled from here (${invited.join(', ')}): name one in relays`)
  }
  return sources
}

/** The addresses of relays that this node can dial. */
export function dialable (entries: readonly string[]): Multiaddr[] {
  const relays: RelayAddresses = new Map()
  for (const entry of entries) {
    try {
      addRelay(relays, entry)
    } catch {}
  }
  return [...relays.values()].flat()
}

/** The peer id at the end of an address. */
export function idOf (address: Multiaddr): string | undefined {
  return peersIn(address).at(-1)
}

/** Whether an entry is a URL, not an address. */
export function isUrl (entry: string): boolean {
  return /^https?:\/\//i.test(entry)
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
  const kind = transportOf(address)
  if (kind === undefined || !DIALLED[platform.name].includes(kind)) {
    throw new PeerworkError('invalid-argument',
      `relay "${entry}" cannot be dialled from ${platform.name === 'browser' ? 'a browser, which needs /ws, /tls/ws or /webrtc-direct' : 'Node.js'}`)
  }
  const addresses = relays.get(id) ?? []
  relays.set(id, addresses)
  if (addresses.length < RELAY_ADDRESSES_MAX && !addresses.some((known) => known.equals(address))) {
    addresses.push(address)
  }
}

const DIALLED: Record<'browser' | 'node', TransportKind[]> = {
  browser: ['web-socket', 'web-rtc-direct'],
  node: ['tcp', 'web-socket']
}

/** Removes a repeated id at the end of an address, because some relays print their id twice. */
function collapsed (entry: string): string {
  return entry.trim().replace(/(\/p2p\/[^/]+)\1$/, '$1')
}

/** The relays that one URL lists, and their settings. */
export interface ListedRelays {
  addresses: RelayAddresses
  config: RelayConfig
}

/**
 * Fetches a `relay-config.json`. Addresses that this node cannot dial are skipped.
 *
 * @throws PeerworkError `relay-unreachable` when the answer has another form or holds no usable
 * address. It is retryable when the next answer may differ: the server failed, or did not answer.
 */
export async function fetchRelays (url: URL, signal: AbortSignal): Promise<ListedRelays> {
  const document = parsed(await fetchText(url, signal))
  const config = parseConfig(document)
  if (config === undefined) {
    throw unreachable(url, document === undefined
      ? 'the answer is no JSON: is it the URL of a relay?'
      : 'the answer has no list "bootstrapPeers": is it the URL of a relay?', { retryable: false })
  }
  const addresses: RelayAddresses = new Map()
  for (const address of dialable(config.bootstrapPeers.slice(0, RELAYS_MAX * RELAY_ADDRESSES_MAX))) {
    addRelay(addresses, address.toString())
  }
  if (addresses.size === 0) throw unreachable(url, 'it names no relay that can be dialled from here', { retryable: false })
  return { addresses, config }
}

/** The answers that say that the URL is wrong, or that this node may not read it. */
const WRONG_URL = new Set([400, 401, 403, 404, 405, 406, 410, 414])

/**
 * Fetches a document as text.
 *
 * @throws PeerworkError `relay-unreachable` when the answer is no success, or longer than
 * `RELAY_CONFIG_BYTES_MAX`; the signal's reason.
 */
export async function fetchText (url: URL, signal: AbortSignal): Promise<string> {
  try {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(FETCH_DEADLINE_MS)])
    const response = await fetch(url, { cache: 'no-store', signal: inTime })
    if (response.ok) return await boundedText(response)
    await response.body?.cancel()
    const wrong = WRONG_URL.has(response.status)
    throw unreachable(url, `the answer is ${response.status}${wrong ? ': is it the URL of a relay?' : ''}`, { retryable: !wrong })
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof PeerworkError) throw cause
    throw unreachable(url, whyFailed(cause), { cause })
  }
}

/** Why a request failed; Node.js tells the reason only in the error's cause. */
function whyFailed (error: unknown): string {
  const { cause } = Object(error) as { cause?: unknown }
  return cause === undefined ? messageOf(error) : `${messageOf(error)} (${messageOf(cause)})`
}

/**
 * Reads the body of a response as text.
 *
 * @throws Error when it is longer than `RELAY_CONFIG_BYTES_MAX`.
 */
async function boundedText (response: Response): Promise<string> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const part = await reader?.read()
    if (part === undefined || part.done) return text
    text += decoder.decode(part.value, { stream: true })
    if (text.length <= RELAY_CONFIG_BYTES_MAX) continue
    await reader?.cancel()
    throw new Error('the answer is too long')
  }
}

function parsed (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function unreachable (url: URL, why: string, facts: ErrorFacts): PeerworkError {
  return new PeerworkError('relay-unreachable', `asking ${url} for relays: ${why}`, facts)
}
