/**
 * This module encodes, decodes and checks the messages of `/peerwork/network/1`.
 *
 * The challenger sends a nonce. The responder sends its answer: one byte for the kind and, where it
 * proves secrets, their number and one MAC for each. The challenger sends its verdict, one byte.
 */

import { areEqual } from '../network/secret.js'
import { concat, utf8 } from '../bytes.js'
import { NETWORK_SECRETS_MAX } from '../limits.js'
import type { PeerId } from '@libp2p/interface'
import type { NetworkSecret } from '../network/secret.js'

export const NETWORK_PROTOCOL = '/peerwork/network/1'
export const NONCE_BYTES = 32
export const MAC_BYTES = 32
/** The verdict that lets the responder take part. */
export const VERDICT_ACCEPTED = 1
/** The verdict that refuses the responder. */
export const VERDICT_REFUSED = 0

const LABEL = 'peerwork network proof 1'

/** The kinds of answers. */
export const Kind = {
  /** The responder has no secret, and its network has entry points. */
  open: 0,
  /** Proofs follow, and the responder challenges too. */
  proofs: 1,
  /** The responder uses protocols for guests only. */
  guest: 2,
  /** The responder has neither a secret nor entry points. */
  local: 3,
  /** Proofs follow, and the responder does not challenge. */
  proofsAlone: 4
} as const

/** The network and the two nodes that a proof is about. */
export interface Parties {
  /** The network's id as decimal text. */
  network: string
  prover: PeerId
  verifier: PeerId
}

/** Computes the proof of one secret. */
export function prove (secret: NetworkSecret, parties: Parties, nonce: Uint8Array): Uint8Array {
  const { network, prover, verifier } = parties
  const [from, to] = [prover, verifier].map((peer) => peer.toMultihash().bytes) as [Uint8Array, Uint8Array]
  return secret.mac(LABEL, [utf8(network), from, to, nonce])
}

/** Encodes an answer that proves secrets. */
export function encodeProofs (
  secrets: readonly NetworkSecret[], parties: Parties, nonce: Uint8Array
): Uint8Array {
  const macs = secrets.map((secret) => prove(secret, parties, nonce))
  return concat([Uint8Array.of(Kind.proofs, macs.length), ...macs])
}

/** Whether one of the MACs proves one of the secrets. */
export function isProven (
  macs: readonly Uint8Array[], secrets: readonly NetworkSecret[], parties: Parties, nonce: Uint8Array
): boolean {
  const expected = secrets.map((secret) => prove(secret, parties, nonce))
  return macs.some((mac) => expected.some((own) => areEqual(own, mac)))
}

/** Whether an answer may have this number of MACs. */
export function isCount (count: number): boolean {
  return count >= 1 && count <= NETWORK_SECRETS_MAX
}
