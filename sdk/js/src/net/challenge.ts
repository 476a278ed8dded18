/** This module runs `/peerwork/network/1` on streams: a challenge, its answer and the verdict. */

import { PeerworkError } from '../errors.js'
import { StreamReader } from '../stream/reader.js'
import { endWriting, writeAll } from '../stream/writer.js'
import {
  Kind, MAC_BYTES, NONCE_BYTES, VERDICT_ACCEPTED, VERDICT_REFUSED, encodeProofs, isCount, isProven
} from './proof.js'
import type { NetworkSecret } from '../network/secret.js'
import type { PeerId, Stream } from '@libp2p/interface'

/** The time that a refused node has to read the refusal before the connection is closed. */
const FAREWELL_MS = 2000

/**
 * The reason for two nodes that proved different secrets. Each refuses the other, and only one of the
 * refusals may arrive before the connection is closed, so both have the same words.
 */
export const OTHER_SECRET = 'the node knows another secret than this node, or belongs to a network with ' +
  'another id: give the secret and the id of today, or a new ticket'

/** The membership of this node. */
export interface Standing {
  self: PeerId
  /** The network's id as decimal text. */
  network: string
  /** The secrets, the newest first; with none this node belongs to a network without a secret. */
  secrets: readonly NetworkSecret[]
  /** Whether this node uses protocols for guests only. */
  guest: boolean
}

/** The reason of a refusal, in words for a person. */
export function refusal (why: string): PeerworkError {
  return new PeerworkError('not-a-member', why)
}

/**
 * Challenges a node and sends it the verdict.
 *
 * @returns whether the accepted node challenges too, and so sends a verdict about this node.
 * @throws PeerworkError `not-a-member` for a node that proved none of the secrets, `cut-off`,
 * `bad-answer`; the signal's reason.
 */
export async function challenge (
  stream: Stream, peer: PeerId, standing: Standing, signal: AbortSignal
): Promise<boolean> {
  const reader = new StreamReader(stream)
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
  await writeAll(stream, nonce, signal)
  const { kind, macs } = await readAnswer(reader, signal)
  const parties = { network: standing.network, prover: peer, verifier: standing.self }
  const accepted = isProven(macs, standing.secrets, parties, nonce)
  await writeAll(stream, Uint8Array.of(accepted ? VERDICT_ACCEPTED : VERDICT_REFUSED), signal)
  // The verdict stands also when the other node is gone before the end of the stream.
  const ended = endWriting(stream, AbortSignal.any([signal, AbortSignal.timeout(FAREWELL_MS)])).catch(() => {})
  if (accepted) return kind === Kind.proofs
  await ended
  // A connection that is closed at once can lose its last bytes, and with them the verdict.
  await reader.read(AbortSignal.any([signal, AbortSignal.timeout(FAREWELL_MS)])).catch(() => {})
  throw refusal(kind === Kind.proofs || kind === Kind.proofsAlone
    ? OTHER_SECRET
    : 'the node does not know the secret of this network')
}

async function readAnswer (
  reader: StreamReader, signal: AbortSignal
): Promise<{ kind: number, macs: Uint8Array[] }> {
  const kind = await reader.byte(signal)
  if (kind === Kind.open || kind === Kind.guest || kind === Kind.local) return { kind, macs: [] }
  if (kind !== Kind.proofs && kind !== Kind.proofsAlone) {
    throw new PeerworkError('bad-answer', `the node answered ${kind} to the question for the network's secret`)
  }
  const count = await reader.byte(signal)
  if (!isCount(count)) throw new PeerworkError('bad-answer', `the node sent ${count} proofs of the network's secret`)
  const macs: Uint8Array[] = []
  for (let at = 0; at < count; at += 1) macs.push(await reader.exactly(MAC_BYTES, signal))
  return { kind, macs }
}

/**
 * Answers the challenge of a node.
 *
 * @returns whether the node accepted the answer.
 * @throws PeerworkError `cut-off`; the signal's reason.
 */
export async function answer (
  stream: Stream, peer: PeerId, standing: Standing, signal: AbortSignal
): Promise<boolean> {
  const reader = new StreamReader(stream)
  const nonce = await reader.exactly(NONCE_BYTES, signal)
  const parties = { network: standing.network, prover: standing.self, verifier: peer }
  await writeAll(stream, encodeAnswer(standing, () => encodeProofs(standing.secrets, parties, nonce)), signal)
  const verdict = await reader.byte(signal)
  endWriting(stream, AbortSignal.any([signal, AbortSignal.timeout(FAREWELL_MS)])).catch(() => {})
  return verdict === VERDICT_ACCEPTED
}

function encodeAnswer ({ guest, secrets }: Standing, proofs: () => Uint8Array): Uint8Array {
  if (guest) return Uint8Array.of(Kind.guest)
  return secrets.length === 0 ? Uint8Array.of(Kind.open) : proofs()
}
