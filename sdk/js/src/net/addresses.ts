/**
 * This module finds the transport of a multiaddress, and whether it may be dialled when a stranger
 * names it.
 */

import { isPrivate } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { Circuit, TCP, WebRTC, WebRTCDirect, WebSockets, WebSocketsSecure } from '@multiformats/multiaddr-matcher'
import { peerIdFromString } from '@libp2p/peer-id'
import { ADDRESS_CHARS_MAX } from '../limits.js'
import type { Multiaddr } from '@multiformats/multiaddr'

/** The transport by which an address reaches a node. */
export type TransportKind = 'tcp' | 'web-socket' | 'circuit' | 'web-rtc' | 'web-rtc-direct'

/** Parses a multiaddress; `undefined` for text that is too long or is not a multiaddress. */
export function parseAddress (text: unknown): Multiaddr | undefined {
  if (typeof text !== 'string' || text.length > ADDRESS_CHARS_MAX) return undefined
  try {
    const address = multiaddr(text)
    return address.getComponents().length > 0 ? address : undefined
  } catch {
    return undefined
  }
}

/** The transport of an address; `undefined` for transports that this package does not support. */
export function transportOf (address: Multiaddr): TransportKind | undefined {
  if (WebRTC.exactMatch(address)) return 'web-rtc'
  if (Circuit.exactMatch(address)) return 'circuit'
  if (WebRTCDirect.exactMatch(address)) return 'web-rtc-direct'
  if (WebSockets.exactMatch(address) || WebSocketsSecure.exactMatch(address)) return 'web-socket'
  if (TCP.exactMatch(address)) return 'tcp'
  return undefined
}

/** The peer ids in an address; the id of a relay comes first. */
export function peersIn (address: Multiaddr): string[] {
  return address.getComponents().flatMap(({ name, value }) => {
    return name === 'p2p' && value !== undefined ? [value] : []
  })
}

/** The address with `/p2p/<id>` at its end, or `undefined` if it ends with another peer id. */
export function addressOf (address: Multiaddr, id: string): Multiaddr | undefined {
  const last = address.getComponents().at(-1)
  if (last?.name !== 'p2p') return address.encapsulate(`/p2p/${id}`)
  return last.value === id ? address : undefined
}

/** Whether the first host in the address lies in a private network or is this machine. */
export function isPrivateAddress (address: Multiaddr): boolean {
  return isPrivate(address)
}

/** Whether a text is a peer id. */
export function isPeerId (text: unknown): text is string {
  if (typeof text !== 'string' || text.length > 128) return false
  try {
    peerIdFromString(text)
    return true
  } catch {
    return false
  }
}
