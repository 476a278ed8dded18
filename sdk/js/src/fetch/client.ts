/**
 * `EdgeClient` is a node that only calls apps behind edges: it is in no room, and has neither gossip
 * nor reservations.
 */

import { transports } from '#edge-transports'
import { longController } from '../abort.js'
import { PeerworkError } from '../errors.js'
import { startCore } from '../net/core.js'
import { Reach } from '../net/reach.js'
import { Relays } from '../net/relays.js'
import { checkNetwork } from '../options.js'
import { Edges } from './edges.js'
import { fetchFrom } from './fetch.js'
import type { Core } from '../net/core.js'
import type { RelayStatus } from '../net/relay-link.js'
import type { CheckedNetwork, NetworkOptions } from '../options.js'
import type { FetchInit } from './request.js'

/** The options of {@link EdgeClient.connect}, as those of `PeerworkNode.join`. */
export type EdgeClientOptions = NetworkOptions

/** Calls apps behind edges. Its methods throw `PeerworkError` with code `left` after `close()`. */
export class EdgeClient {
  readonly #core: Core
  readonly #relays: Relays
  readonly #edges: Edges
  readonly #closing: AbortController
  /** The peer id of this node. */
  readonly peerId: string

  #closed: Promise<void> | undefined

  private constructor (core: Core, relays: Relays, closing: AbortController, options: CheckedNetwork) {
    this.#core = core
    this.#relays = relays
    this.#closing = closing
    const privateAllowed = (): boolean => options.allowPrivateAddresses ?? relays.anyPrivate
    this.#edges = new Edges(new Reach(core, relays, privateAllowed), relays)
    this.peerId = options.identity.peerId
  }

  /**
   * Connects to relays.
   *
   * @throws PeerworkError `invalid-argument` naming the option, `not-a-member`,
   * `relay-unreachable`, `relay-unfit`.
   */
  static async connect (options: EdgeClientOptions): Promise<EdgeClient> {
    const checked = await checkNetwork(options)
    const nothing = (): void => {}
    const relays = new Relays(checked.sources, { onConnected: nothing, onDisconnected: nothing, onPlacesChanged: nothing })
    const closing = longController()
    const core = await startCore({
      privateKey: checked.identity.privateKey,
      listen: [],
      isRelay: (id) => relays.has(id),
      tokens: checked.tokens,
      membership: checked.membership
    }, transports({ iceServers: () => [] }))
    const client = new EdgeClient(core, relays, closing, checked)
    try {
      relays.start({ ...core, reserves: false }, closing.signal)
      await relays.joined(checked, closing.signal)
    } catch (error) {
      await client.close()
      throw error
    }
    return client
  }

  /** All relays, with the state of their links. */
  get relays (): RelayStatus[] {
    return this.#relays.statuses
  }

  /**
   * Sends an HTTP request to a web app behind an edge of the network; the same as
   * `PeerworkNode.fetch`.
   *
   * @throws PeerworkError as `PeerworkNode.fetch`.
   */
  async fetch (url: string | URL, init?: FetchInit): Promise<Response> {
    if (this.#closing.signal.aborted) throw new PeerworkError('left', 'the client is closed')
    return await fetchFrom(this.#edges, this.peerId, url, init)
  }

  /** Ends all connections; a further call waits for the end of the first. */
  async close (): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close (): Promise<void> {
    this.#closing.abort(new DOMException('the client was closed', 'AbortError'))
    await this.#relays.stopped()
    await this.#core.stop()
  }
}
