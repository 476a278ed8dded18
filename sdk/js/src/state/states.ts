/**
 * `States` holds the shared states of a node, and compares them with other peers at certain events.
 */

import { PeerworkError, asError } from '../errors.js'
import { shuffled } from '../shuffled.js'
import { wait, withProgress } from '../time.js'
import { Turns } from '../turns.js'
import { requestState, serveState } from './exchange.js'
import { SharedState } from './shared-state.js'
import type { Place } from './keeper.js'
import type { StateOptions } from './shared-state.js'
import type { StateStorage } from './storage.js'
import type { Json } from '../bytes.js'
import type { RoomNames } from '../room/names.js'
import type { Topics } from '../room/topics.js'
import type { Turn } from '../turns.js'
import type { Stream } from '@libp2p/interface'

/** The deadlines of an exchange: it may last longer on a slow link, as long as it makes progress. */
const EXCHANGE = { ms: 30_000, totalMs: 15 * 60_000, late }
/** The number of present peers that a new member asks. */
const NEWCOMER_ASKS = 3
/** The number of peers that this node asks after other peers joined. */
const JOIN_ASKS = 2
/** The delay after a join, so that several peers that join together cause one comparison. */
const JOIN_DELAY_MS = 500
/**
 * The interval at which one peer is asked for updates that gossip may have lost; mostly only a
 * digest is sent.
 */
const REPAIR_MS = 30_000
/** The time after which a state becomes ready without a peer to ask. */
const ALONE_MS = 1_500

/** The functions of the node that states use. */
export interface StatePeers {
  /** The ids of present peers. */
  ids: () => string[]
  openStream: (peer: string, protocol: string, signal: AbortSignal) => Promise<Stream>
  /** The storage of the states, if the node has one. */
  storage?: StateStorage | undefined
  /** Reports that a state could not be loaded or saved. */
  onUnsaved?: (name: string, error: PeerworkError) => void
}

export class States {
  readonly #states = new Map<string, SharedState<never>>()
  readonly #self: string
  readonly #topics: Topics
  readonly #names: RoomNames
  readonly #peers: StatePeers
  readonly #signal: AbortSignal
  readonly #joinWaiters = new Set<() => void>()
  #joinTimer: ReturnType<typeof setTimeout> | undefined
  /** The peers whose gossip began to arrive since the last comparison. */
  readonly #linked = new Set<string>()
  /** The exchanges by state and peer. */
  readonly #turns = new Turns()
  readonly #repairTimer: ReturnType<typeof setInterval>

  constructor (self: string, topics: Topics, names: RoomNames, peers: StatePeers, signal: AbortSignal) {
    this.#self = self
    this.#topics = topics
    this.#names = names
    this.#peers = peers
    this.#signal = signal
    this.#repairTimer = setInterval(() => { void this.#compareAll(1) }, REPAIR_MS)
    signal.addEventListener('abort', () => { this.#stop() }, { once: true })
  }

  /** Opens the state with a name; only the options of the first call count. */
  open<T extends Json> (name: string, options: StateOptions<T>): SharedState<T> {
    const known = this.#states.get(name)
    if (known !== undefined && !known.closed) return known as unknown as SharedState<T>
    const state = new SharedState<T>(name, options, {
      self: this.#self,
      topics: this.#topics,
      topic: this.#names.stateTopic(name),
      place: options.persist === false ? undefined : this.#placeOf(name, known)
    })
    this.#states.set(name, state as unknown as SharedState<never>)
    void this.#begin(state as unknown as SharedState<never>)
    return state
  }

  /** Stores the last changes of all states, also of closed ones. Never rejects. */
  async finished (): Promise<void> {
    await Promise.all([...this.#states.values()].map(async (state) => { await state.finished() }))
  }

  /** Stores changes at once, because the page is about to end. */
  hurry (): void {
    for (const state of this.#states.values()) state.hurry()
  }

  #placeOf (name: string, earlier: SharedState<never> | undefined): Place | undefined {
    const { storage, onUnsaved } = this.#peers
    if (storage === undefined) return undefined
    return {
      storage,
      state: this.#names.storedState(name),
      after: earlier?.finished(),
      onTrouble: (error) => { onUnsaved?.(name, error) }
    }
  }

  /** Answers a peer that asks for a state. */
  async serve (stream: Stream, from: string): Promise<void> {
    try {
      const serving = withProgress({ ...EXCHANGE, signal: this.#signal }, async (signal, extend) => {
        await serveState(stream, (name) => {
          const replica = this.#find(name)?.replica
          if (replica === undefined) return
          return this.#turns.admits(`${name} ${from}`, this.#self, from, serving) ? replica : 'busy'
        }, { signal, extend })
      })
      await serving
    } catch (error) {
      stream.abort(asError(error))
    }
  }

  /**
   * Schedules a comparison after a peer joined, because it may have entries that no present peer
   * has.
   */
  onJoin (): void {
    for (const resolve of this.#joinWaiters) resolve()
    this.#joinWaiters.clear()
    for (const state of this.#states.values()) state.flush()
    this.#compareSoon()
  }

  /**
   * Schedules a comparison with a peer whose gossip arrives from now on, because its earlier
   * updates may not have arrived.
   */
  onLink (peer: string, topics: readonly string[]): void {
    if (!topics.some((topic) => this.#topicsOfStates().includes(topic))) return
    if (!this.#peers.ids().includes(peer)) return
    this.#linked.add(peer)
    this.#compareSoon()
  }

  /**
   * Schedules comparisons after a relay was connected again, because updates may have been lost in
   * both directions.
   */
  onReturn (): void {
    this.onJoin()
  }

  #topicsOfStates (): string[] {
    return [...this.#states.keys()].map((name) => this.#names.stateTopic(name))
  }

  #compareSoon (): void {
    if (this.#joinTimer !== undefined || this.#states.size === 0) return
    this.#joinTimer = setTimeout(() => {
      this.#joinTimer = undefined
      void this.#compareAll(JOIN_ASKS)
    }, JOIN_DELAY_MS * (0.5 + Math.random()))
  }

  #find (name: string): SharedState<never> | undefined {
    const state = this.#states.get(name)
    return state?.closed === true ? undefined : state
  }

  #stop (): void {
    clearTimeout(this.#joinTimer)
    clearInterval(this.#repairTimer)
    for (const state of this.#states.values()) state.close()
    this.#states.clear()
  }

  /**
   * Runs the first comparison of a state: asks a few present peers, and waits a moment when no peer
   * is present.
   */
  async #begin (state: SharedState<never>): Promise<void> {
    try {
      await state.started()
      if (this.#peers.ids().length === 0) await Promise.race([this.#nextJoin(), wait(ALONE_MS, this.#signal)])
      await this.#compare(state, NEWCOMER_ASKS)
    } catch {
      // The node is leaving.
    } finally {
      state.becomeReady()
    }
  }

  /** Resolves when the next peer joins. */
  async #nextJoin (): Promise<void> {
    await new Promise<void>((resolve) => { this.#joinWaiters.add(resolve) })
  }

  async #compareAll (asks: number): Promise<void> {
    const open = [...this.#states.values()].filter((state) => !state.closed)
    const linked = [...this.#linked]
    this.#linked.clear()
    await Promise.all(open.map(async (state) => { await this.#compare(state, asks, linked) }))
  }

  /**
   * Compares with up to `asks` peers at once, those in `first` before others; a failed comparison
   * is left for the next time.
   */
  async #compare (state: SharedState<never>, asks: number, first: readonly string[] = []): Promise<void> {
    const present = shuffled(this.#peers.ids())
    const peers = [...present.filter((id) => first.includes(id)), ...present.filter((id) => !first.includes(id))].slice(0, asks)
    await Promise.allSettled(peers.map(async (peer) => {
      if (await this.#turns.run(`${state.name} ${peer}`, async (turn) => await this.#request(state, peer, turn))) state.becomeReady()
    }))
  }

  async #request (state: SharedState<never>, peer: string, turn: Turn): Promise<boolean> {
    return await withProgress({ ...EXCHANGE, signal: this.#signal }, async (signal, extend) => {
      const stream = await this.#peers.openStream(peer, this.#names.stateProtocol, signal)
      try {
        return await requestState(stream, state.name, state.replica, { signal, extend }, turn)
      } catch (error) {
        stream.abort(asError(error))
        throw error
      }
    })
  }
}

function late (): PeerworkError {
  return new PeerworkError('timeout', 'the peer took too long to compare a state')
}
