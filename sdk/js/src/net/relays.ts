/** `Relays` holds the links to all relays of a node and re-reads their addresses. */

import { platform } from '#platform'
import { PeerworkError } from '../errors.js'
import { RELAYS_MAX } from '../limits.js'
import { fetchRelays } from './relay-sources.js'
import { RelayLink } from './relay-link.js'
import { isPrivateAddress } from './addresses.js'
import type { Network } from './libp2p.js'
import type { RelayStatus } from './relay-link.js'
import type { RelayAddresses, RelaySources } from './relay-sources.js'
import type { Multiaddr } from '@multiformats/multiaddr'

/** The shortest time between two requests to the URLs. */
const REFRESH_MS = 5000

export interface RelayListener {
  onConnected: (relay: RelayStatus) => void
  onDisconnected: (relay: RelayStatus) => void
  /** Called when a reservation was gained or lost, which changes the addresses of this node. */
  onPlacesChanged: () => void
}

export class Relays {
  readonly #sources: RelaySources
  readonly #listener: RelayListener
  readonly #links = new Map<string, RelayLink>()
  readonly #ends = new Map<string, AbortController>()
  readonly #running = new Set<Promise<void>>()
  readonly #wasConnected = new Set<string>()
  #places = 0
  #network: Network | undefined
  #signal: AbortSignal | undefined
  #refreshed = Number.NEGATIVE_INFINITY
  #changed: () => void = () => {}
  #fetchError: unknown
  #refreshing = false

  constructor (sources: RelaySources, listener: RelayListener) {
    this.#sources = sources
    this.#listener = listener
  }

  /** Begins to connect; the links end when the signal is aborted. */
  start (network: Network, signal: AbortSignal): void {
    this.#network = network
    this.#signal = signal
    this.#add(this.#sources.fixed)
    void this.#refresh()
    const off = platform.onOnline(() => { this.retryNow() })
    signal.addEventListener('abort', off, { once: true })
  }

  /** Waits until all links have ended after the signal was aborted. */
  async stopped (): Promise<void> {
    await Promise.all(this.#running)
  }

  /** Dials all relays that are not connected at once. */
  retryNow (): void {
    for (const link of this.#links.values()) link.retryNow()
  }

  get statuses (): RelayStatus[] {
    return [...this.#links.values()].map((link) => link.status)
  }

  has (id: string): boolean {
    return this.#links.has(id)
  }

  /** The addresses at which a relay is dialled; empty for relays that the user did not name. */
  addressesOf (id: string): Multiaddr[] {
    return this.#links.get(id)?.addresses ?? []
  }

  /** The ids of the relays that this node is connected to. */
  get connectedIds (): string[] {
    return [...this.#links.values()].filter((link) => link.connected).map(({ id }) => id)
  }

  /**
   * Whether the user named a relay with a private address, so that members may have private
   * addresses too.
   */
  get anyPrivate (): boolean {
    return [...this.#links.values()].some((link) => link.addresses.some(isPrivateAddress))
  }

  /**
   * Waits until one relay is connected and has granted or refused a reservation.
   *
   * @throws PeerworkError `not-a-member` when all relays are of another network, `relay-unreachable`
   * at the deadline, with the last error.
   */
  async anyConnected (deadlineMs: number, signal: AbortSignal): Promise<void> {
    const deadline = Date.now() + deadlineMs
    while (![...this.#links.values()].some((link) => link.connected && link.settled)) {
      signal.throwIfAborted()
      const refusal = this.#refusal()
      if (refusal !== undefined) throw refusal
      const left = deadline - Date.now()
      if (left <= 0) {
        if (this.connectedIds.length > 0) return
        throw this.#unreachable()
      }
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          signal.removeEventListener('abort', done)
          resolve()
        }
        const timer = setTimeout(done, left)
        signal.addEventListener('abort', done, { once: true })
        this.#changed = done
      })
    }
  }

  /** The refusal of a relay, when all relays are known and none of them takes this node. */
  #refusal (): PeerworkError | undefined {
    const links = [...this.#links.values()]
    if (this.#refreshing || !links.every(({ refusal }) => refusal !== undefined)) return undefined
    const refused = links.find(({ refusal }) => refusal !== undefined)
    if (refused?.refusal === undefined) return undefined
    return new PeerworkError('not-a-member', `the relay ${refused.id}: ${refused.refusal.message}`, { cause: refused.refusal })
  }

  #unreachable (): PeerworkError {
    if (this.#links.size === 0 && this.#fetchError instanceof PeerworkError) return this.#fetchError
    const why = this.statuses.map(({ id, error }) => `${id}: ${error ?? 'no answer yet'}`).join('; ')
    return new PeerworkError('relay-unreachable', `no relay could be reached in time (${why})`)
  }

  /** Fetches the URLs again, because a relay may have other addresses or another peer id. */
  async #refresh (): Promise<void> {
    const signal = this.#signal
    if (signal === undefined || signal.aborted || this.#sources.urls.length === 0) return
    if (Date.now() - this.#refreshed < REFRESH_MS) return
    this.#refreshed = Date.now()
    this.#refreshing = true
    const results = await Promise.allSettled(this.#sources.urls.map(async (url) => await fetchRelays(url, signal)))
    const failed = results.find((result) => result.status === 'rejected')
    const found = results.flatMap((result) => result.status === 'fulfilled' ? [...result.value] : [])
    if (failed === undefined) this.#forget(new Set(found.map(([id]) => id)))
    this.#add(new Map(found))
    this.#refreshing = false
    this.#fetchError = failed?.reason
    this.#changed()
    if (failed !== undefined && !signal.aborted) {
      const again = setTimeout(() => { void this.#refresh() }, REFRESH_MS)
      signal.addEventListener('abort', () => { clearTimeout(again) }, { once: true })
    }
  }

  /**
   * Ends the links to relays that the URLs do not list any more, because the number of links is
   * limited.
   */
  #forget (named: Set<string>): void {
    for (const { id, connected } of this.statuses) {
      if (named.has(id) || connected || this.#sources.fixed.has(id)) continue
      this.#ends.get(id)?.abort()
      this.#ends.delete(id)
      this.#links.delete(id)
    }
  }

  #add (relays: RelayAddresses): void {
    const [network, signal] = [this.#network, this.#signal]
    if (network === undefined || signal === undefined || signal.aborted) return
    for (const [id, addresses] of relays) {
      const known = this.#links.get(id)
      if (known !== undefined) {
        known.addresses = addresses
      } else if (this.#links.size < RELAYS_MAX) {
        this.#run(new RelayLink(network, id, addresses, {
          onChange: () => { this.#onChange(id) },
          onFailure: () => { void this.#refresh() }
        }), signal)
      }
    }
  }

  #run (link: RelayLink, signal: AbortSignal): void {
    const end = new AbortController()
    this.#links.set(link.id, link)
    this.#ends.set(link.id, end)
    const running = link.run(AbortSignal.any([signal, end.signal])).finally(() => { this.#running.delete(running) })
    this.#running.add(running)
  }

  #onChange (id: string): void {
    const link = this.#links.get(id)
    if (link === undefined) return
    const was = this.#wasConnected.has(id)
    if (link.connected && !was) {
      this.#wasConnected.add(id)
      this.#listener.onConnected(link.status)
    } else if (!link.connected && was) {
      this.#wasConnected.delete(id)
      this.#listener.onDisconnected(link.status)
    }
    const places = this.statuses.filter(({ reserved }) => reserved).length
    if (places !== this.#places) this.#listener.onPlacesChanged()
    this.#places = places
    this.#changed()
  }
}
