/**
 * `Presence` announces this node on the presence topic and tracks the announcements of other
 * members.
 */

import { Roster } from './roster.js'
import { encodePresence, parsePresence } from './presence-message.js'
import { ADDRESS_CHARS_MAX, PRESENCE_ADDRESSES_MAX } from '../limits.js'
import { clock, wait } from '../time.js'
import type { Change, Member } from './roster.js'
import type { Json } from '../bytes.js'
import type { Topics } from './topics.js'

/** The shortest time between two announcements; changes in between are combined. */
const GAP_MS = 200
/** The time over which answers to a new member are spread; it grows in large rooms. */
const ANSWER_MS = 300
const ANSWER_MS_PER_MEMBER = 5
/** The time that the first announcement waits for the relay to join the topic. */
const PATIENCE_MS = 2_000

/** The description that a node publishes of itself. */
export interface OwnPresence {
  name: string
  state: Json
  workers: number
  addresses: () => string[]
}

export interface PresenceListener {
  onChange: (change: Exclude<Change, 'none'>, member: Member) => void
  /** Called for any message of a member, even if it changes nothing. */
  onHeard: (id: string, addressesChanged: boolean) => void
}

export class Presence {
  readonly roster = new Roster()
  readonly #topics: Topics
  readonly #topic: string
  readonly #self: string
  readonly #own: OwnPresence
  readonly #listener: PresenceListener
  #sequence = Date.now()
  #asked = false
  #lastSent = 0
  #nextAt = 0
  #wake: () => void = () => {}

  constructor (topics: Topics, topic: string, self: string, own: OwnPresence, listener: PresenceListener) {
    this.#topics = topics
    this.#topic = topic
    this.#self = self
    this.#own = own
    this.#listener = listener
  }

  /** Runs until the signal is aborted. */
  async run (signal: AbortSignal): Promise<void> {
    const off = this.#topics.subscribe(
      this.#topic,
      ({ data }) => parsePresence(data) !== undefined,
      ({ from, data }) => { this.#onMessage(from, data) }
    )
    while (!signal.aborted) {
      const pause = Math.max(this.#nextAt - clock(), this.#lastSent + GAP_MS - clock())
      if (pause > 0) {
        await this.#sleep(pause, signal)
        continue
      }
      this.#nextAt = clock() + this.roster.intervalMs
      this.#lastSent = clock()
      await this.#say()
    }
    off()
  }

  /** Announces this node again within `withinMs`, because its description changed. */
  announce (withinMs = 0): void {
    this.#nextAt = Math.min(this.#nextAt, clock() + withinMs)
    this.#wake()
  }

  /** Asks the other members to announce themselves: after joining, and when a relay is back. */
  ask (): void {
    this.#asked = false
    this.announce()
  }

  /** Announces that this node leaves. */
  async goodbye (): Promise<void> {
    this.#sequence += 1
    await this.#topics.publish(this.#topic, encodePresence({ kind: 'bye', sequence: this.#sequence }), 0)
  }

  /** Removes peers that have been silent for too long. */
  expire (isConnected: (id: string) => boolean): void {
    for (const member of this.roster.expire(clock(), isConnected)) {
      this.#listener.onChange('leave', member)
    }
  }

  async #say (): Promise<void> {
    this.#sequence += 1
    const ask = !this.#asked
    const { name, state, workers } = this.#own
    const addresses = this.#own.addresses()
      .filter((address) => address.length <= ADDRESS_CHARS_MAX).slice(0, PRESENCE_ADDRESSES_MAX)
    const message = encodePresence({
      kind: 'here', sequence: this.#sequence, name, state, addresses, workers, ask
    })
    try {
      const recipients = await this.#topics.publish(this.#topic, message, ask ? PATIENCE_MS : 0)
      if (recipients > 0) this.#asked = true
    } catch {
      // libp2p is stopping; the loop ends at the aborted signal.
    }
  }

  #onMessage (from: string, data: Uint8Array): void {
    const message = parsePresence(data)
    if (message === undefined || from === this.#self) return
    const before = this.roster.get(from)
    const change = this.roster.apply(from, message, clock())
    const member = this.roster.get(from) ?? before
    if (member === undefined) return
    if (change !== 'none') this.#listener.onChange(change, member)
    if (message.kind !== 'here') return
    const same = before?.here.addresses.join() === message.addresses.join()
    this.#listener.onHeard(from, !same)
    if (message.ask) this.announce(Math.random() * Math.max(ANSWER_MS, ANSWER_MS_PER_MEMBER * this.roster.size))
  }

  async #sleep (ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => { woken.abort() }
    try {
      await wait(ms, AbortSignal.any([signal, woken.signal]))
    } catch {}
  }
}
