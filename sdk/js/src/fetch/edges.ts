/**
 * `Edges` connects to an edge: by a circuit through the relays that this node is connected to, or,
 * when the edge has a reservation at none of them, through the relays that its advertisement names.
 */

import { PeerworkError, messageOf } from '../errors.js'
import { parseAddress } from '../net/addresses.js'
import { lookUp } from './directory.js'
import type { Reach } from '../net/reach.js'
import type { Relays } from '../net/relays.js'
import type { KnownAddresses } from './directory.js'
import type { Connection } from '@libp2p/interface'

export class Edges {
  readonly #reach: Reach
  readonly #relays: Relays

  constructor (reach: Reach, relays: Relays) {
    this.#reach = reach
    this.#relays = relays
  }

  /**
   * Returns a connection to an edge.
   *
   * @throws PeerworkError `relay-unreachable` without relays, `edge-unknown` when no directory
   * lists the edge, `edge-unreachable`.
   */
  async connect (id: string, signal: AbortSignal): Promise<Connection> {
    const [open] = this.#reach.open(id)
    if (open !== undefined) return open
    if (this.#relays.connectedIds.length === 0) {
      throw new PeerworkError('relay-unreachable', 'no relay is connected')
    }
    try {
      return await this.#reach.connect(id, [], signal)
    } catch (error) {
      signal.throwIfAborted()
      return await this.#connectWhereNamed(id, messageOf(error), signal)
    }
  }

  async #connectWhereNamed (id: string, before: string, signal: AbortSignal): Promise<Connection> {
    const whereabouts = await this.#lookUp(id, signal)
    if (whereabouts === undefined) {
      throw new PeerworkError('edge-unknown', `no relay knows the node ${id} (${before})`)
    }
    try {
      return await this.#reach.connect(id, await this.#hints(id, whereabouts, signal), signal)
    } catch (cause) {
      signal.throwIfAborted()
      throw new PeerworkError('edge-unreachable', messageOf(cause), { cause })
    }
  }

  /** Asks all connected relays, and returns the first answer of a relay that knows the node. */
  async #lookUp (id: string, signal: AbortSignal): Promise<KnownAddresses | undefined> {
    const asked = this.#relays.connectedIds.map(async (relay) => {
      const [connection] = this.#reach.open(relay)
      const found = connection === undefined ? undefined : await lookUp(connection, id, signal)
      if (found === undefined) throw new Error('not known')
      return found
    })
    return await Promise.any(asked).catch(() => undefined)
  }

  /**
   * The edge's own addresses, and circuits through its relays. The edge's advertisement names the
   * address at which the edge itself reaches a relay, which a page often cannot dial; the relay's
   * own advertisement lists more addresses.
   */
  async #hints (id: string, { relays, addresses }: KnownAddresses, signal: AbortSignal): Promise<string[]> {
    const perRelay = await Promise.all(relays.map(async (relay) => {
      const more = await this.#lookUp(relay.id, signal)
      return [relay.address, ...more?.addresses ?? []].flatMap((text) => {
        const address = parseAddress(text.replace(/\/p2p\/[^/]+$/, ''))
        return address === undefined ? [] : [`${address.toString()}/p2p/${relay.id}/p2p-circuit/p2p/${id}`]
      })
    }))
    return [...addresses, ...perRelay.flat()]
  }
}
