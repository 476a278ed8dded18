/** The shared states of a node, and when it compares them with whom. */

import { PeerworkError, messageOf } from '../errors.js'
import { withDeadline, wait } from '../time.js'
import { askFor, tell } from './exchange.js'
import { SharedState } from './shared-state.js'
import type { StateOptions } from './shared-state.js'
import type { Json } from '../bytes.js'
import type { RoomNames } from '../room/names.js'
import type { Topics } from '../room/topics.js'
import type { Stream } from '@libp2p/interface'

/** How long one exchange may take. */
const EXCHANGE_DEADLINE_MS = 30_000
/** Present peers that a newcomer asks. */
const NEWCOMER_ASKS = 3
/** Peers asked after others came. */
const JOIN_ASKS = 2
/** Several peers that come together are one occasion. */
const JOIN_DELAY_MS = 500
/** How often one peer is asked for what gossip may have lost; mostly only a digest is sent. */
const REPAIR_MS = 30_000
/** How long a state without anybody to ask waits before it is ready. */
const ALONE_MS = 1_500

/** What states need of the node. */
export interface StatePeers {
  /** Ids of present peers. */
  ids: () => string[]
  openStream: (peer: string, protocol: string, signal: AbortSignal) => Promise<Stream>
}

export class States {
  readonly #states = new Map<string, SharedState<never>>()
  readonly #self: string
  readonly #topics: Topics
  readonly #names: RoomNames
  readonly #peers: StatePeers
  readonly #signal: AbortSignal
  readonly #onSomebody = new Set<() => void>()
  #joinTimer: ReturnType<typeof setTimeout> | undefined
  /** Peers that were linked since the last comparison. */
  readonly #linked = new Set<string>()
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

  /** The state of a name; the options count at the first call. */
  open<T extends Json> (name: string, options: StateOptions<T>): SharedState<T> {
    const known = this.#states.get(name)
    if (known !== undefined && !known.closed) return known as unknown as SharedState<T>
    const state = new SharedState<T>(name, options, this.#self, this.#topics, this.#names.stateTopic(name))
    this.#states.set(name, state as unknown as SharedState<never>)
    void this.#begin(state as unknown as SharedState<never>)
    return state
  }

  /** Answers a peer that asks for a state. */
  async serve (stream: Stream): Promise<void> {
    try {
      await withDeadline({ ms: EXCHANGE_DEADLINE_MS, late, signal: this.#signal }, async (signal) => {
        await tell(stream, (name) => this.#find(name)?.replica, signal)
      })
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(messageOf(error)))
    }
  }

  /** Somebody came: it may know what nobody here knows. */
  onJoin (): void {
    for (const resolve of this.#onSomebody) resolve()
    this.#onSomebody.clear()
    for (const state of this.#states.values()) state.flush()
    this.#compareSoon()
  }

  /** A peer's gossip reaches this node from now on: what it told before that may have passed this node. */
  onLink (peer: string, topics: readonly string[]): void {
    if (!topics.some((topic) => this.#topicsOfStates().includes(topic))) return
    if (!this.#peers.ids().includes(peer)) return
    this.#linked.add(peer)
    this.#compareSoon()
  }

  /** A relay is connected again: some updates may have passed nobody, in either direction. */
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

  /** The newcomer's part: ask a few of those who are present; if nobody is, wait a moment. */
  async #begin (state: SharedState<never>): Promise<void> {
    try {
      if (this.#peers.ids().length === 0) await Promise.race([this.#somebody(), wait(ALONE_MS, this.#signal)])
      await this.#compare(state, NEWCOMER_ASKS)
    } catch {
      // The node leaves.
    } finally {
      state.becomeReady()
    }
  }

  /** Resolves when the next peer comes. */
  async #somebody (): Promise<void> {
    await new Promise<void>((resolve) => { this.#onSomebody.add(resolve) })
  }

  async #compareAll (asks: number): Promise<void> {
    const open = [...this.#states.values()].filter((state) => !state.closed)
    const linked = [...this.#linked]
    this.#linked.clear()
    await Promise.all(open.map(async (state) => { await this.#compare(state, asks, linked) }))
  }

  /** Compares with up to `asks` peers at once, `first` before others; those that fail are left for the next time. */
  async #compare (state: SharedState<never>, asks: number, first: readonly string[] = []): Promise<void> {
    const present = shuffled(this.#peers.ids())
    const peers = [...present.filter((id) => first.includes(id)), ...present.filter((id) => !first.includes(id))].slice(0, asks)
    await Promise.allSettled(peers.map(async (peer) => {
      await withDeadline({ ms: EXCHANGE_DEADLINE_MS, late, signal: this.#signal }, async (signal) => {
        const stream = await this.#peers.openStream(peer, this.#names.stateProtocol, signal)
        try {
          if (await askFor(stream, state.name, state.replica, signal)) state.becomeReady()
        } catch (error) {
          stream.abort(error instanceof Error ? error : new Error(messageOf(error)))
          throw error
        }
      })
    }))
  }
}

function shuffled<T> (items: readonly T[]): T[] {
  return items.map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at).map(({ item }) => item)
}

function late (): PeerworkError {
  return new PeerworkError('timeout', 'the peer took too long to compare a state')
}
