/**
 * `Access` proves this node's token to relays for members only, on `/peerwork/access/1`.
 *
 * The relay accepts the stream with one byte. This node writes the token's length (two bytes, the
 * most significant first) and the token, and the relay answers 1 or 0.
 */

import { PeerworkError, asError, messageOf } from '../errors.js'
import { concat, utf8 } from '../bytes.js'
import { TOKEN_CHARS_MAX, TOKEN_CHARS_MIN } from '../limits.js'
import { StreamReader } from '../stream/reader.js'
import { endWriting, writeAll } from '../stream/writer.js'
import { isPeerId } from './addresses.js'
import { clock } from '../time.js'
import type { Connection } from '@libp2p/interface'

export const ACCESS_PROTOCOL = '/peerwork/access/1'
/** The byte with which a relay accepts the stream. */
const ACCEPTED = 0
const DEADLINE_MS = 5_000
/**
 * The age at which a proof is repeated before a reservation. A relay lets a node reserve for an hour
 * after the proof, and the proof of one attempt must not expire before its reservation arrives.
 */
export const PROOF_AGE_MAX_MS = 30 * 60_000

/** The token for a relay, by the relay's peer id. */
export type Tokens = (relay: string) => string | undefined

/**
 * The result of a proof: the relay knows the token, does not know it, or asks for none; `none` when
 * this node has no token for the relay.
 */
export type Proof = 'known' | 'unknown' | 'not-asked' | 'none'

/**
 * Checks the option `token`.
 *
 * @throws PeerworkError `invalid-argument`, which never contains the token.
 */
export function checkTokens (token: string | Record<string, string> | undefined): Tokens {
  if (token === undefined) return () => undefined
  if (typeof token === 'string') {
    checkToken(token, 'token')
    return () => token
  }
  if (typeof token !== 'object' || token === null || Array.isArray(token)) {
    throw new PeerworkError('invalid-argument', 'token is a text, or an object of texts by the relays\' peer ids')
  }
  const byRelay = new Map(Object.entries(token))
  for (const [relay, text] of byRelay) {
    if (!isPeerId(relay)) throw new PeerworkError('invalid-argument', `token: "${relay}" is no peer id of a relay`)
    checkToken(text, `token of ${relay}`)
  }
  return (relay) => byRelay.get(relay)
}

function checkToken (text: unknown, name: string): void {
  const fits = typeof text === 'string' && /^[!-~]+$/.test(text) &&
    text.length >= TOKEN_CHARS_MIN && text.length <= TOKEN_CHARS_MAX
  if (fits) return
  throw new PeerworkError('invalid-argument',
    `the ${name} is no token: a token has ${TOKEN_CHARS_MIN} to ${TOKEN_CHARS_MAX} visible ASCII characters`)
}

export class Access {
  readonly #tokens: Tokens
  readonly #proofs = new WeakMap<Connection, { at: number, proof: Promise<Proof> }>()

  constructor (tokens: Tokens) {
    this.#tokens = tokens
  }

  /**
   * Proves the token on a connection to a relay, unless that was done lately.
   *
   * @throws Error when the relay could not be asked.
   */
  async prove (connection: Connection, now = clock()): Promise<Proof> {
    const token = this.#tokens(connection.remotePeer.toString())
    if (token === undefined) return 'none'
    const known = this.#proofs.get(connection)
    if (known !== undefined && now - known.at < PROOF_AGE_MAX_MS) return await known.proof
    const proof = show(connection, token)
    this.#proofs.set(connection, { at: now, proof })
    // A proof that failed says nothing about the token, so the next attempt makes another proof.
    proof.catch(() => { this.#proofs.delete(connection) })
    return await proof
  }
}

async function show (connection: Connection, token: string): Promise<Proof> {
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const stream = await connection.newStream(ACCESS_PROTOCOL, { signal }).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'UnsupportedProtocolError') return undefined
    throw new Error(`showing the token: ${messageOf(error)}`, { cause: error })
  })
  if (stream === undefined) return 'not-asked'
  try {
    const reader = new StreamReader(stream)
    const bytes = utf8(token)
    await writeAll(stream, concat([Uint8Array.of(bytes.byteLength >> 8, bytes.byteLength & 255), bytes]), signal)
    if (await reader.byte(signal) !== ACCEPTED) throw new Error('the relay checks too many tokens at this moment')
    const known = await reader.byte(signal) === 1
    endWriting(stream, signal).catch(() => {})
    return known ? 'known' : 'unknown'
  } catch (error) {
    stream.abort(asError(error))
    throw new Error(`showing the token: ${messageOf(error)}`, { cause: error })
  }
}
