/**
 * `RelayLink` keeps the connection to one relay, and the reservation there, until the node leaves.
 *
 * js-libp2p does not reconnect by itself after a restart of the relay. So this class dials the
 * relay again, with growing pauses, and makes a new reservation.
 */

import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { PeerworkError, messageOf } from '../errors.js'
import { Backoff, orAborted, wait } from '../time.js'
import { connectionsTo } from './connections.js'
import type { Core } from './core.js'
import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

const PAUSES = { minMs: 500, maxMs: 15_000 }
/** The time that a relay has to announce the relay protocol in identify. */
const IDENTIFY_DEADLINE_MS = 10_000
/** The time that a relay has to grant a reservation. */
const RESERVE_DEADLINE_MS = 10_000

/** The state of the link to a relay. */
export interface RelayStatus {
  /** The relay's peer id. */
  id: string
  /** The addresses at which the relay is dialled. */
  addresses: string[]
  /** Whether this node is connected to the relay, which forwards the room's messages then. */
  connected: boolean
  /**
   * Whether this node holds a reservation at the relay, through which other peers can reach it
   * then.
   */
  reserved: boolean
  /** The last error, while the node is not connected or has no reservation. */
  error?: string
}

/**
 * The parts of libp2p that a link uses.
 *
 * @internal
 */
export interface LinkNetwork extends Core {
  /** Whether links make reservations; default true. A node that only calls others needs none. */
  reserves?: boolean
}

/** @internal */
export interface LinkEvents {
  onChange: () => void
  /** Called when a dial failed, since the addresses may be out of date. */
  onFailure: () => void
}

/** @internal */
export class RelayLink {
  readonly id: string
  readonly #peer: PeerId
  readonly #network: LinkNetwork
  readonly #events: LinkEvents
  readonly #backoff = new Backoff(PAUSES)
  addresses: Multiaddr[]
  #connected = false
  #reserved = false
  #error: string | undefined
  #refusal: PeerworkError | undefined
  /** Whether libp2p is trying to get a reservation on behalf of this link. */
  #looks = false
  #pauseEnd: AbortController | undefined

  constructor (network: LinkNetwork, id: string, addresses: Multiaddr[], events: LinkEvents) {
    this.#network = network
    this.id = id
    this.#peer = peerIdFromString(id)
    this.addresses = addresses
    this.#events = events
  }

  get connected (): boolean {
    return this.#connected
  }

  get status (): RelayStatus {
    return {
      id: this.id,
      addresses: this.addresses.map(String),
      connected: this.#connected,
      reserved: this.#reserved,
      ...(this.#error === undefined ? {} : { error: this.#error })
    }
  }

  /** Whether the first attempt has ended, with success or failure. */
  get settled (): boolean {
    return this.#reserved || this.#error !== undefined || (this.#connected && !this.#reserves)
  }

  /** The error of the last dial, when the relay and this node are not of one network. */
  get refusal (): PeerworkError | undefined {
    return this.#refusal
  }

  get #reserves (): boolean {
    return this.#network.reserves !== false
  }

  /** Retries at once. */
  retryNow (): void {
    this.#pauseEnd?.abort()
  }

  /** Runs until the signal is aborted. */
  async run (signal: AbortSignal): Promise<void> {
    const { libp2p } = this.#network
    const onDisconnect = (event: CustomEvent<PeerId>): void => {
      // The reason why a connection was never used is reported by the loop.
      if (!this.#peer.equals(event.detail) || !this.#connected) return
      this.#become(false, false, 'the connection to the relay closed')
      this.retryNow()
    }
    libp2p.addEventListener('peer:disconnect', onDisconnect)
    await this.#keep(signal)
    libp2p.removeEventListener('peer:disconnect', onDisconnect)
  }

  async #keep (signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const connection = await this.#network.libp2p.dial(this.addresses, { signal })
        await this.#network.membership.passed(connection, signal)
        this.#refusal = undefined
        this.#become(true, this.#reserved, this.#error)
        await this.#stay(connection, signal)
      } catch (error) {
        if (signal.aborted) break
        this.#refusal = error instanceof PeerworkError && error.code === 'not-a-member' ? error : undefined
        this.#become(connectionsTo(this.#network.libp2p, this.#peer).length > 0, false, messageOf(error))
        this.#events.onFailure()
      }
      await this.#pause(this.#backoff.next(), signal)
    }
  }

  /** Makes a reservation and waits until the reservation or the connection is lost. */
  async #stay (connection: Connection, signal: AbortSignal): Promise<void> {
    const lost = new AbortController()
    const onClose = (): void => { lost.abort(new Error('the connection to the relay closed')) }
    const onRemoved = (event: CustomEvent<{ relay: PeerId }>): void => {
      if (this.#peer.equals(event.detail.relay)) lost.abort(new Error('the relay keeps no place any more'))
    }
    const { reservations } = this.#network
    connection.addEventListener('close', onClose)
    reservations.addEventListener('relay:removed', onRemoved)
    const over = AbortSignal.any([signal, lost.signal])
    try {
      if (connection.status !== 'open') onClose()
      if (this.#reserves) await this.#reserve(over)
      this.#backoff.reset()
      this.#become(true, this.#reserves, undefined)
      await orAborted(new Promise<never>(() => {}), over)
    } finally {
      connection.removeEventListener('close', onClose)
      reservations.removeEventListener('relay:removed', onRemoved)
    }
  }

  /**
   * Makes a reservation. The result of `addRelay` is not the only criterion: libp2p also asks
   * relays that it discovers by itself, and the promise for the same relay may then never settle.
   */
  async #reserve (signal: AbortSignal): Promise<void> {
    const { reservations, transports } = this.#network
    await this.#speaksHop(signal)
    const until = AbortSignal.any([signal, AbortSignal.timeout(RESERVE_DEADLINE_MS)])
    let resolve: () => void = () => {}
    const created = new Promise<void>((done) => { resolve = done })
    const onCreated = (event: CustomEvent<{ relay: PeerId }>): void => {
      if (this.#peer.equals(event.detail.relay)) resolve()
    }
    reservations.addEventListener('relay:created-reservation', onCreated)
    try {
      while (!reservations.hasReservation(this.#peer)) {
        // Each `/p2p-circuit` address allows libp2p one more reservation, at this relay or at
        // another relay.
        if (!this.#looks) await transports.listen([multiaddr('/p2p-circuit')])
        this.#looks = true
        await orAborted(Promise.race([created, this.#askForPlace()]), until)
      }
    } catch (error) {
      signal.throwIfAborted()
      throw until.aborted ? new Error('the relay did not answer to a reservation') : error
    } finally {
      reservations.removeEventListener('relay:created-reservation', onCreated)
    }
  }

  async #askForPlace (): Promise<void> {
    try {
      await this.#network.reservations.addRelay(this.#peer, 'discovered')
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'HadEnoughRelaysError') throw error
      this.#looks = this.#network.reservations.hasReservation(this.#peer)
    }
  }

  /**
   * Waits until identify shows that the relay speaks the relay protocol. A reservation request
   * before that would make libp2p ignore this relay for ever.
   */
  async #speaksHop (signal: AbortSignal): Promise<void> {
    const until = AbortSignal.any([signal, AbortSignal.timeout(IDENTIFY_DEADLINE_MS)])
    const { libp2p } = this.#network
    let changed: () => void = () => {}
    const onChange = (): void => { changed() }
    libp2p.addEventListener('peer:update', onChange)
    try {
      for (;;) {
        const next = new Promise<void>((resolve) => { changed = resolve })
        const peer = await libp2p.peerStore.get(this.#peer).catch(() => undefined)
        if (peer?.protocols.includes(RELAY_V2_HOP_CODEC) === true) return
        await orAborted(next, until)
      }
    } catch (error) {
      signal.throwIfAborted()
      throw new Error('the relay does not offer circuits', { cause: error })
    } finally {
      libp2p.removeEventListener('peer:update', onChange)
    }
  }

  async #pause (ms: number, signal: AbortSignal): Promise<void> {
    this.#pauseEnd = new AbortController()
    try {
      await wait(ms, AbortSignal.any([signal, this.#pauseEnd.signal]))
    } catch {}
  }

  #become (connected: boolean, reserved: boolean, error: string | undefined): void {
    const changed = this.#connected !== connected || this.#reserved !== reserved || this.#error !== error
    this.#connected = connected
    this.#reserved = reserved
    this.#error = error
    if (changed) this.#events.onChange()
  }
}
