/**
 * This module decides whether a node can serve as a relay, by the protocols that it names in
 * identify, and which error a relay's refusal of a reservation is.
 */

import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import { PeerworkError, messageOf } from '../errors.js'
import { orAborted } from '../time.js'
import { ACCESS_PROTOCOL } from './access.js'
import { NETWORK_PROTOCOL } from './proof.js'
import type { Connection, IdentifyResult, Libp2p } from '@libp2p/interface'
import type { Proof } from './access.js'

const FLOODSUB = '/floodsub/1.0.0'

/** `Identified` remembers the protocols that the other nodes named in identify. */
export class Identified {
  readonly #protocols = new WeakMap<Connection, string[]>()
  readonly #waiting = new Set<() => void>()

  constructor (libp2p: Libp2p) {
    libp2p.addEventListener('peer:identify', ({ detail }: CustomEvent<IdentifyResult>) => {
      this.#protocols.set(detail.connection, detail.protocols)
      for (const wake of this.#waiting) wake()
    })
  }

  /** Waits until the other node has named its protocols. */
  async protocols (connection: Connection, signal: AbortSignal): Promise<string[]> {
    let wake: () => void = () => {}
    const onIdentify = (): void => { wake() }
    this.#waiting.add(onIdentify)
    try {
      for (;;) {
        const known = this.#protocols.get(connection)
        if (known !== undefined) return known
        await orAborted(new Promise<void>((resolve) => { wake = resolve }), signal)
      }
    } finally {
      this.#waiting.delete(onIdentify)
    }
  }
}

/**
 * Checks that a node with these protocols can serve as a relay.
 *
 * @param use `rooms` needs circuits and gossip, `calls` of apps behind edges only circuits
 * @throws PeerworkError `relay-unfit`.
 */
export function checkFitness (protocols: readonly string[], use: 'rooms' | 'calls'): void {
  if (!protocols.includes(RELAY_V2_HOP_CODEC)) {
    throw unfit('it offers no circuits (circuit relay v2), so it is no relay: name another node in relays')
  }
  if (use === 'calls') return
  const speaksGossip = protocols.some((protocol) => protocol.startsWith('/meshsub/'))
  const speaksFlood = protocols.includes(FLOODSUB)
  if (!speaksGossip && speaksFlood) {
    throw unfit('it speaks floodsub alone, and this package needs gossipsub at its relays')
  }
  // A Peerwork relay speaks gossipsub with other relays also when it forwards none of its clients'
  // gossip (`--no-gossip`). It offers floodsub only when it forwards gossip.
  const isPeerwork = protocols.includes(NETWORK_PROTOCOL)
  if (!speaksGossip || (isPeerwork && !speaksFlood)) {
    throw unfit('it forwards no gossip, by which members of a room find each other: start it without --no-gossip, or name another relay')
  }
}

function unfit (why: string): PeerworkError {
  return new PeerworkError('relay-unfit', why)
}

/**
 * The error for a refused reservation: `relay-refused` when the relay takes members only, otherwise
 * the refusal as libp2p reports it.
 */
export function refusalOf (error: unknown, protocols: readonly string[], proof: Proof, self: string): unknown {
  // libp2p has no error type for the status of the relay's answer.
  if (!/status PERMISSION_DENIED$/.test(messageOf(error))) return error
  return new PeerworkError('relay-refused', whyRefused(protocols.includes(ACCESS_PROTOCOL), proof, self), { cause: error })
}

function whyRefused (asksForToken: boolean, proof: Proof, self: string): string {
  if (proof === 'unknown') return 'it is for members only, and does not know the token that was given for it: ask its operator for the token of today'
  if (asksForToken && proof !== 'known') return 'it is for members only: give its token as the option token'
  return `it is for members only, and does not let this node in: ask its operator to allow ${self}, or use an identity that it allows`
}
