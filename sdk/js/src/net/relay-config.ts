/** This module reads the document `relay-config.json`, by which a relay tells pages its settings. */

import { isObject } from '../bytes.js'
import { ICE_CREDENTIAL_CHARS_MAX, ICE_SERVERS_MAX, ICE_URLS_MAX, ICE_URL_CHARS_MAX } from '../limits.js'
import type { IceServer } from '../ice.js'

/** The contents of a `relay-config.json`; only the addresses are always there. */
export interface RelayConfig {
  bootstrapPeers: string[]
  /** STUN and TURN servers, at most 8. */
  iceServers: IceServer[]
  /** The bytes of the largest message that the relay forwards. */
  messageBytesMax: number | undefined
  /** A description of each field that was ignored, because it has another form. */
  mistakes: string[]
}

/** Reads the document; `undefined` when it has no list of addresses. */
export function parseConfig (document: unknown): RelayConfig | undefined {
  if (!isObject(document)) return undefined
  const { bootstrapPeers, iceServers, pubsubType, gossip } = document
  if (!Array.isArray(bootstrapPeers)) return undefined
  const mistakes: string[] = []
  if (pubsubType !== undefined && pubsubType !== 'gossipsub' && pubsubType !== 'floodsub') {
    mistakes.push('pubsubType is neither "gossipsub" nor "floodsub"')
  }
  return {
    bootstrapPeers: bootstrapPeers.filter((entry): entry is string => typeof entry === 'string'),
    iceServers: serversOf(iceServers, mistakes),
    messageBytesMax: messageBytesMaxOf(gossip, mistakes),
    mistakes
  }
}

function messageBytesMaxOf (gossip: unknown, mistakes: string[]): number | undefined {
  if (gossip === undefined) return undefined
  if (!isObject(gossip)) {
    mistakes.push('gossip is no object')
    return undefined
  }
  const { maxMessageBytes } = gossip
  if (maxMessageBytes === undefined) return undefined
  if (typeof maxMessageBytes === 'number' && Number.isSafeInteger(maxMessageBytes) && maxMessageBytes > 0) return maxMessageBytes
  mistakes.push('gossip.maxMessageBytes is no positive integer')
  return undefined
}

function serversOf (list: unknown, mistakes: string[]): IceServer[] {
  if (list === undefined) return []
  if (!Array.isArray(list)) {
    mistakes.push('iceServers is no list')
    return []
  }
  if (list.length > ICE_SERVERS_MAX) mistakes.push(`iceServers has more than ${ICE_SERVERS_MAX} entries`)
  return list.slice(0, ICE_SERVERS_MAX).flatMap((entry: unknown, at) => {
    const server = serverOf(entry)
    if (typeof server !== 'string') return [server]
    mistakes.push(`iceServers[${at}]${server}`)
    return []
  })
}

/**
 * The forms of RFC 7064 and RFC 7065, as browsers take them. A browser refuses the whole list of
 * servers for one URL of another form.
 */
const URL_FORM = /^(?:(stuns?)|turns?):(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?(?:\?transport=(?:udp|tcp))?$/i

/** Checks one server; returns the words for a mistake as text. */
function serverOf (entry: unknown): IceServer | string {
  if (!isObject(entry)) return ' is no object'
  const { urls, username, credential } = entry
  const all: unknown[] = Array.isArray(urls) ? urls : [urls]
  if (all.length === 0 || all.length > ICE_URLS_MAX) return `.urls has no entry, or more than ${ICE_URLS_MAX}`
  const checked: string[] = []
  let needsCredential = false
  for (const url of all) {
    const form = typeof url === 'string' && url.length <= ICE_URL_CHARS_MAX ? URL_FORM.exec(url) : null
    const isStun = form?.[1] !== undefined
    if (form === null || (isStun && form[0].includes('?'))) return '.urls holds no URL of a STUN or TURN server'
    needsCredential ||= !isStun
    checked.push(form[0])
  }
  if (!needsCredential && username === undefined && credential === undefined) return { urls: checked }
  if (!isCredential(username) || !isCredential(credential)) return ' needs username and credential as texts'
  return { urls: checked, username, credential }
}

function isCredential (value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= ICE_CREDENTIAL_CHARS_MAX
}
