/**
 * `RelayLink` keeps the connection to one relay, and the reservation there, until the node leaves.
 *
 * js-libp2p does not reconnect by itself after a restart of the relay. So this class dials the
 * relay again, with growing pauses, and makes a new reservation.
 */

import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { PeerworkError, messageOf } from '../errors.js'
import { Backoff, orAborted, wait } from '../time.js'
import { connectionsTo } from './connections.js'
import type { Core } from './core.js'
import { dialError, otherId } from './dial-error.js'
import { checkFitness, refusalOf } from './fitness.js'
import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

const PAUSES = { minMs: 500, maxMs: 15_000 }
/** The time that a relay has to name its protocols in identify. */
const IDENTIFY_DEADLINE_MS = 10_000
/** The time that a relay has to grant a reservation. */
const RESERVE_DEADLINE_MS = 10_000

/** The state of the link to a relay. */
export interface RelayStatus {
  /** The relay's peer id. */
  id: string
  /** The addresses at which the relay is dialled. */
  addresses: string[]
  /**
   * Whether this node is connected to the relay, which forwards the room's messages then unless
   * `error` says otherwise.
   */
  connected: boolean
  /**
   * Whether this node holds a reservation at the relay, through which other peers can reach it
   * then.
   */
  reserved: boolean
  /** The last error, while the node is not connected or has no reservation. */
  error?: string
  /** The fields of the relay's `relay-config.json` that were ignored, because they have another form. */
  configMistakes?: string[]
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
  configMistakes: string[] = []
  #connected = false
  #reserved = false
  /** Whether the relay serves this node, which makes no reservation. */
  #usable = false
  #error: string | undefined
  #verdict: PeerworkError | undefined
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
      ...(this.#error === undefined ? {} : { error: this.#error }),
      ...(this.configMistakes.length === 0 ? {} : { configMistakes: this.configMistakes })
    }
  }

  /** Whether the first attempt has ended, with success or failure. */
  get settled (): boolean {
    return this.#reserved || this.#error !== undefined || (this.#connected && this.#usable)
  }

  /**
   * The error of the last attempt, when a retry cannot help: the relay has another id, is of another
   * network, is no relay that this package can use, or refuses this node. The link retries all the
   * same, since the relay may be started anew.
   */
  get verdict (): PeerworkError | undefined {
    return this.#verdict
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
        const connection = await this.#dial(signal)
        await this.#network.membership.passed(connection, signal)
        this.#become(true, this.#reserved, this.#connected ? this.#error : undefined)
        await this.#stay(connection, signal)
      } catch (error) {
        if (signal.aborted) break
        this.#verdict = error instanceof PeerworkError && !error.retryable ? error : undefined
        this.#become(connectionsTo(this.#network.libp2p, this.#peer).length > 0, false, messageOf(error))
        this.#events.onFailure()
      }
      await this.#pause(this.#backoff.next(), signal)
    }
  }

  async #dial (signal: AbortSignal): Promise<Connection> {
    const { addresses } = this
    let connection
    try {
      connection = await this.#network.libp2p.dial(addresses, { signal })
    } catch (error) {
      throw dialError(error, this.id, addresses)
    }
    if (this.#peer.equals(connection.remotePeer)) return connection
    // The handshake does not compare ids that are a hash of the key.
    await connection.close({ signal }).catch((error: Error) => { connection.abort(error) })
    throw otherId(connection.remotePeer.toString(), this.id, addresses)
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
      if (this.#reserves) await this.#reserve(connection, over)
      else checkFitness(await this.#protocols(connection, over), 'calls')
      this.#backoff.reset()
      this.#verdict = undefined
      const wasSettled = this.settled
      this.#usable = true
      this.#become(true, this.#reserves, undefined)
      // A link without a reservation has no other news for those that wait for it.
      if (!wasSettled && !this.#reserves) this.#events.onChange()
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
  async #reserve (connection: Connection, signal: AbortSignal): Promise<void> {
    const { reservations, transports } = this.#network
    checkFitness(await this.#protocols(connection, signal), 'rooms')
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
        await orAborted(Promise.race([created, this.#askForPlace(connection)]), until)
      }
    } catch (error) {
      signal.throwIfAborted()
      throw until.aborted ? new Error('the relay did not answer to a reservation') : error
    } finally {
      reservations.removeEventListener('relay:created-reservation', onCreated)
    }
  }

  async #askForPlace (connection: Connection): Promise<void> {
    const { access, identified, libp2p, reservations } = this.#network
    try {
      await reservations.addRelay(this.#peer, 'discovered')
    } catch (error) {
      if (error instanceof Error && error.name === 'HadEnoughRelaysError') {
        this.#looks = reservations.hasReservation(this.#peer)
        return
      }
      const protocols = await identified.protocols(connection, AbortSignal.timeout(IDENTIFY_DEADLINE_MS))
      throw refusalOf(error, protocols, await access.prove(connection), libp2p.peerId.toString())
    }
  }

  /**
   * Waits until the relay has named its protocols. A reservation request before that would make
   * libp2p ignore this relay for ever.
   */
  async #protocols (connection: Connection, signal: AbortSignal): Promise<string[]> {
    try {
      const until = AbortSignal.any([signal, AbortSignal.timeout(IDENTIFY_DEADLINE_MS)])
      return await this.#network.identified.protocols(connection, until)
    } catch (error) {
      signal.throwIfAborted()
      throw new Error('the relay did not name its protocols (identify) in time', { cause: error })
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
