/** `Relays` holds the links to all relays of a node and re-reads their addresses. */

import { platform } from '#platform'
import { longController } from '../abort.js'
import { PeerworkError } from '../errors.js'
import { ICE_SERVERS_MAX, RELAYS_MAX } from '../limits.js'
import { fetchRelays } from './relay-sources.js'
import { RelayLink } from './relay-link.js'
import { isPrivateAddress } from './addresses.js'
import { clock } from '../time.js'
import type { LinkNetwork } from './relay-link.js'
import type { RelayStatus } from './relay-link.js'
import type { RelayConfig } from './relay-config.js'
import type { ListedRelays, RelayAddresses, RelaySources } from './relay-sources.js'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { IceServer } from '../ice.js'

/** The shortest time between two requests to the URLs. */
const REFRESH_MS = 5000

/** The time to wait for the first relay, and the signal that ends the wait. */
interface JoinWait {
  timeoutMs: number
  signal: AbortSignal | undefined
}

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
  #network: LinkNetwork | undefined
  #signal: AbortSignal | undefined
  #refreshed = Number.NEGATIVE_INFINITY
  #changed: () => void = () => {}
  /** The last settings that each URL told. */
  readonly #configs = new Map<URL, RelayConfig>()
  #fetchErrors: PeerworkError[] = []
  #refreshing = false
  /** The next request to the URLs after one that failed. */
  #again: ReturnType<typeof setTimeout> | undefined

  constructor (sources: RelaySources, listener: RelayListener) {
    this.#sources = sources
    this.#listener = listener
  }

  /** Begins to connect; the links end when the signal is aborted. */
  start (network: LinkNetwork, signal: AbortSignal): void {
    this.#network = network
    this.#signal = signal
    this.#add(this.#sources.fixed)
    void this.#refresh()
    const off = platform.onOnline(() => { this.retryNow() })
    signal.addEventListener('abort', () => {
      off()
      clearTimeout(this.#again)
    }, { once: true })
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
   * Waits as {@link Relays.anyConnected} does, unless the time is 0.
   *
   * @throws the errors of {@link Relays.anyConnected}; the reason of the caller's signal.
   */
  async joined ({ timeoutMs, signal }: JoinWait, leaving: AbortSignal): Promise<void> {
    const over = signal === undefined ? leaving : AbortSignal.any([leaving, signal])
    over.throwIfAborted()
    if (timeoutMs > 0) await this.anyConnected(timeoutMs, over)
  }

  /**
   * Waits until one usable relay is connected and has granted or refused a reservation.
   *
   * @throws PeerworkError `not-a-member`, `relay-refused`, `relay-unfit` or `relay-unreachable` as
   * soon as no relay can be used and a retry cannot help; `relay-unreachable` at the deadline, with
   * the last errors.
   */
  async anyConnected (deadlineMs: number, signal: AbortSignal): Promise<void> {
    const deadline = clock() + deadlineMs
    while (![...this.#links.values()].some((link) => link.connected && link.settled && link.verdict === undefined)) {
      signal.throwIfAborted()
      const verdict = this.#verdict()
      if (verdict !== undefined) throw verdict
      const left = deadline - clock()
      if (left <= 0) {
        if ([...this.#links.values()].some((link) => link.connected && link.verdict === undefined)) return
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

  /** The error when no relay can be used, and a retry cannot help at any of them. */
  #verdict (): PeerworkError | undefined {
    const links = [...this.#links.values()]
    const isFinal = links.every(({ verdict }) => verdict !== undefined) &&
      this.#fetchErrors.every(({ retryable }) => !retryable)
    if (this.#refreshing || !isFinal) return undefined
    const errors = [
      ...links.flatMap(({ id, verdict }) => verdict === undefined
        ? []
        : [new PeerworkError(verdict.code, `the relay ${id}: ${verdict.message}`, { cause: verdict, retryable: false })]),
      ...this.#fetchErrors
    ]
    const [first, ...others] = errors
    if (first === undefined || others.length === 0) return first
    const code = others.every((error) => error.code === first.code) ? first.code : 'relay-unreachable'
    return new PeerworkError(code, errors.map(({ message }) => message).join('; '),
      { cause: new AggregateError(errors), retryable: false })
  }

  #unreachable (): PeerworkError {
    const [fetchError] = this.#fetchErrors
    if (this.#links.size === 0 && this.#fetchErrors.length === 1 && fetchError !== undefined) return fetchError
    const why = [
      ...this.statuses.map(({ id, error }) => `${id}: ${error ?? 'no answer yet'}`),
      ...this.#fetchErrors.map(({ message }) => message),
      ...(this.#refreshing ? this.#sources.urls.map((url) => `${url}: no answer yet`) : [])
    ].join('; ')
    return new PeerworkError('relay-unreachable', `no relay could be reached in time (${why})`)
  }

  /** The STUN and TURN servers that the relays' documents name. */
  get iceServers (): IceServer[] {
    return [...this.#configs.values()].flatMap(({ iceServers }) => iceServers).slice(0, ICE_SERVERS_MAX)
  }

  /** The bytes of the largest message that all relays forward, as far as their documents tell. */
  get messageBytesMax (): number {
    return Math.min(...[...this.#configs.values()].map(({ messageBytesMax }) => messageBytesMax ?? Infinity))
  }

  /** Fetches the URLs again, because a relay may have other addresses or another peer id. */
  async #refresh (): Promise<void> {
    const signal = this.#signal
    if (signal === undefined || signal.aborted || this.#sources.urls.length === 0) return
    if (clock() - this.#refreshed < REFRESH_MS) return
    this.#refreshed = clock()
    this.#refreshing = true
    const listed: ListedRelays[] = []
    const errors: PeerworkError[] = []
    await Promise.all(this.#sources.urls.map(async (url) => {
      try {
        const relays = await fetchRelays(url, signal)
        this.#configs.set(url, relays.config)
        listed.push(relays)
      } catch (error) {
        if (error instanceof PeerworkError) errors.push(error)
      }
    }))
    if (signal.aborted) return
    if (errors.length === 0) this.#forget(new Set(listed.flatMap(({ addresses }) => [...addresses.keys()])))
    for (const { addresses, config } of listed) {
      this.#add(addresses)
      for (const id of addresses.keys()) this.#noteMistakes(id, config)
    }
    this.#refreshing = false
    this.#fetchErrors = errors
    this.#changed()
    clearTimeout(this.#again)
    if (errors.length > 0) this.#again = setTimeout(() => { void this.#refresh() }, REFRESH_MS)
  }

  #noteMistakes (id: string, { mistakes }: RelayConfig): void {
    const link = this.#links.get(id)
    if (link !== undefined) link.configMistakes = mistakes
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
    const end = longController()
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
