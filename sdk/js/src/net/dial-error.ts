/** This module finds out why a relay could not be dialled, in words for a person. */

import { PeerworkError, messageOf } from '../errors.js'
import type { Multiaddr } from '@multiformats/multiaddr'

/**
 * The message of the Noise handshake when the other node has another id. libp2p passes on the
 * message alone.
 */
const OTHER_ID = /^Payload identity key (\S+) does not match expected remote identity key/

/** The error for a relay whose addresses lead to a node with another id. */
export function otherId (found: string, expected: string, addresses: readonly Multiaddr[]): PeerworkError {
  const at = addresses.map((address) => address.decapsulate('/p2p/').toString()).join(' or ')
  return new PeerworkError('relay-unreachable',
    `the node at ${at} has the id ${found} and not ${expected}: name it with /p2p/${found} if it is your relay`,
    { retryable: false })
}

/**
 * The error for a failed dial. It is final, and not retryable, when every address that was tried led
 * to a node with another id.
 */
export function dialError (error: unknown, expected: string, addresses: readonly Multiaddr[]): unknown {
  const errors: unknown[] = error instanceof AggregateError && error.errors.length > 0 ? error.errors : [error]
  const found = errors.map((one) => OTHER_ID.exec(messageOf(one))?.[1])
  const ids = new Set(found.filter((id) => id !== undefined))
  if (ids.size === 0) return errors.some(isNoHandshake) ? withHint(error) : error
  const wrong = otherId([...ids].join(' or '), expected, addresses)
  const others = errors.filter((_, at) => found[at] === undefined)
  return others.length === 0 ? wrong : new Error([wrong, ...others].map(messageOf).join('; '), { cause: error })
}

/** Whether a server closed the connection in the handshake, or answered a WebSocket with another status. */
function isNoHandshake (error: unknown): boolean {
  return /^Unexpected (EOF|server response)/.test(messageOf(error))
}

function withHint (cause: unknown): Error {
  return new Error(`the server did not answer as a relay: does the address belong to one? (${messageOf(cause)})`, { cause })
}
