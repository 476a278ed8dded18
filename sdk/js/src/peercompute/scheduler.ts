/**
 * `Scheduler` sends snapshots, commands and events at the rates of its profile, and calls the
 * handlers for those of other peers. It has no timer: each call of {@link Scheduler.tick} sends
 * what is due.
 */

import { utf8 } from '../bytes.js'
import { PeerworkError } from '../errors.js'
import {
  EVENTS_QUEUED_MAX, EVENT_BYTES_MAX, PROVIDERS_MAX, PUBLISH_BYTES_MAX, SCHEDULED_ENTRIES_MAX, SCHEDULED_ID_CHARS_MAX
} from '../limits.js'
import { isPeerId } from '../net/addresses.js'
import { Seen } from './seen.js'
import { callHandler, callProvider } from './handlers.js'
import { checkProfile, checkRetryMs } from './profile.js'
import { ReliableEvents } from './reliable.js'
import { clock } from '../time.js'
import type { Json } from '../bytes.js'
import type {
  AckMessage, CommandMessage, EventEntry, EventMessage, Header, ProviderEntry, ScheduledMessage, SnapshotMessage
} from './messages.js'
import type { SchedulerProfile } from './profile.js'
import type { QueuedEvent, ReliabilityStats } from './reliable.js'

/** The functions of the network that a scheduler uses. */
export interface SchedulerAdapter {
  readonly gameId: string
  readonly roomId: string
  /** The peer id of this node; `null` while it is not started. */
  peerId: () => string | null
  /** The peers that are present. */
  peers: () => string[]
  /** Publishes a message to all peers. */
  publish: (message: ScheduledMessage) => Promise<void>
  /** Sends a message to one peer alone. */
  send: (peer: string, message: ScheduledMessage) => Promise<void>
}

/** A function that returns the data to send; `null` and `undefined` send nothing. */
export type Provider = () => unknown

/** Options of one event. */
export interface EventOptions {
  /** Whether the event is sent again until all present peers have acknowledged it. */
  reliable?: boolean
  /** Another name of `reliable`. */
  critical?: boolean
  id?: string
  /** The time before the first repetition, in place of the profile's. */
  retryMs?: number
  /** The only peer that gets the event; default: the payload's `target` if that is a peer id. */
  target?: string
}

export type ScheduledHandler<Message> = (peerId: string, message: Message) => void

/** Messages that are on their way at once; while there are more, nothing is sent. */
const SENDING_MAX = 64
/** Snapshots and commands that are on their way at once; a newer one makes the older ones obsolete. */
const STREAMING_MAX = 4
/** Peers to which a repeated event goes directly; for more it is published again. */
const REPEAT_DIRECTLY_MAX = 16
/** The bytes of the events in one message. */
const BATCH_BYTES_MAX = PUBLISH_BYTES_MAX - 16 * 1024

export class Scheduler {
  readonly #adapter: SchedulerAdapter
  readonly #stateProviders = new Map<string, Provider>()
  readonly #commandProviders = new Map<string, Provider>()
  readonly #snapshotHandlers: Array<ScheduledHandler<SnapshotMessage>> = []
  readonly #commandHandlers: Array<ScheduledHandler<CommandMessage>> = []
  readonly #eventHandlers: Array<ScheduledHandler<EventMessage>> = []
  readonly #events: QueuedEvent[] = []
  readonly #reliable = new ReliableEvents()
  /** The reliable events that were delivered to the handlers. */
  readonly #seen = new Seen()
  readonly #seq = { snapshot: 0, command: 0, event: 0 }
  #profile: SchedulerProfile
  #dirty = true
  #snapshotAt = Number.NEGATIVE_INFINITY
  #commandAt = Number.NEGATIVE_INFINITY
  readonly #onWay = new Set<Promise<void>>()
  /** The peers and ids of events that are being sent to one peer. */
  readonly #sending = new Set<string>()
  #streaming = 0
  #names = 0
  authorityId: string | null = null

  constructor (adapter: SchedulerAdapter, profile: Partial<SchedulerProfile> = {}) {
    this.#adapter = adapter
    this.#profile = checkProfile(profile)
  }

  get profile (): SchedulerProfile {
    return { ...this.#profile, reliableEventTypes: [...this.#profile.reliableEventTypes] }
  }

  /** The pause between two ticks. */
  get tickMs (): number {
    return Math.max(10, Math.round(1000 / Math.max(this.#profile.snapshotHz, this.#profile.commandHz)))
  }

  get reliability (): ReliabilityStats {
    return this.#reliable.stats(this.#profile.eventRetryMs, this.#profile.eventRetryMax)
  }

  configure (profile: Partial<SchedulerProfile>): void {
    this.#profile = checkProfile({ ...this.#profile, ...profile })
  }

  /**
   * Adds the function whose data is part of each snapshot.
   *
   * @returns the id by which the provider is removed.
   * @throws PeerworkError `invalid-argument` for more than 256 providers, or a long id.
   */
  addStateProvider (provider: Provider, id?: string): string {
    this.#dirty = true
    return this.#addProvider(this.#stateProviders, provider, id ?? `state-${this.#names++}`)
  }

  /** Adds the function whose data is part of each command message, like a state provider. */
  addCommandProvider (provider: Provider, id?: string): string {
    return this.#addProvider(this.#commandProviders, provider, id ?? `command-${this.#names++}`)
  }

  removeProvider (id: string): void {
    this.#stateProviders.delete(id)
    this.#commandProviders.delete(id)
  }

  onSnapshot (handler: ScheduledHandler<SnapshotMessage>): () => void {
    return added(this.#snapshotHandlers, handler)
  }

  onCommand (handler: ScheduledHandler<CommandMessage>): () => void {
    return added(this.#commandHandlers, handler)
  }

  onEvent (handler: ScheduledHandler<EventMessage>): () => void {
    return added(this.#eventHandlers, handler)
  }

  /** Makes the next tick send a snapshot, if the rate allows it. */
  markDirty (): void {
    this.#dirty = true
  }

  /**
   * Queues an event of at most 64 KiB of JSON. Of 1000 queued events the oldest makes room.
   *
   * @returns the id of the event.
   * @throws PeerworkError `invalid-argument`, `too-large`.
   */
  queueEvent (payload: unknown, options: EventOptions = {}): string {
    const json = toJson(payload)
    const id = options.id ?? crypto.randomUUID()
    if (typeof id !== 'string' || id.length > SCHEDULED_ID_CHARS_MAX) {
      throw new PeerworkError('invalid-argument', `the id of an event has at most ${SCHEDULED_ID_CHARS_MAX} characters`)
    }
    const type: unknown = Object(json.value)['type']
    const given = options.reliable ?? options.critical
    const reliable = given ?? (typeof type === 'string' && this.#profile.reliableEventTypes.includes(type))
    const event = { id, payload: json.value, bytes: json.bytes, target: this.#targetOf(json.value, options.target) }
    if (reliable) {
      this.#reliable.add(event, checkRetryMs(options.retryMs, this.#profile.eventRetryMs))
    } else {
      this.#events.push(event)
      if (this.#events.length > EVENTS_QUEUED_MAX) this.#events.shift()
    }
    return id
  }

  /** Sends what is due. */
  tick (now = clock()): void {
    if (this.#adapter.peerId() === null) return
    this.#sendCommands(now)
    this.#sendSnapshot(now)
    this.#sendEvents(now)
  }

  /** Sends all queued events once, and waits until they are sent. */
  async flush (now = clock()): Promise<void> {
    if (this.#adapter.peerId() === null) return
    for (let left = this.#events.length + this.#reliable.size; left > 0; left -= this.#profile.maxEventsPerTick) {
      this.#sendEvents(now)
    }
    await Promise.all(this.#onWay)
  }

  /** Handles a message of another peer, which `parseMessage` has checked. */
  receive (from: string, message: ScheduledMessage): void {
    switch (message.type) {
      case 'pc-snapshot':
        if (this.#profile.snapshotsRequireAuthority && this.authorityId !== null && from !== this.authorityId) return
        for (const handler of [...this.#snapshotHandlers]) callHandler('a snapshot handler', handler, from, message)
        return
      case 'pc-command':
        for (const handler of [...this.#commandHandlers]) callHandler('a command handler', handler, from, message)
        return
      case 'pc-ack':
        this.#reliable.ack(from, message.payload.eventIds)
        return
      case 'pc-event':
        this.#receiveEvents(from, message)
    }
  }

  #receiveEvents (from: string, message: EventMessage): void {
    const news = message.payload.filter(({ id, reliable }) => !reliable || this.#seen.add(from, id))
    if (news.length > 0) {
      for (const handler of [...this.#eventHandlers]) {
        callHandler('an event handler', handler, from, { ...message, payload: [...news] })
      }
    }
    const eventIds = message.payload.filter(({ reliable }) => reliable).map(({ id }) => id)
    if (eventIds.length === 0 || this.#onWay.size >= SENDING_MAX) return
    const ack: AckMessage = { type: 'pc-ack', ...this.#frame('event', clock()), payload: { eventIds } }
    this.#track(this.#adapter.send(from, ack))
  }

  #sendSnapshot (now: number): void {
    if (this.#stateProviders.size === 0 || this.#streaming >= STREAMING_MAX) return
    if (this.#profile.snapshotsRequireAuthority && this.authorityId !== null && this.authorityId !== this.#adapter.peerId()) return
    const since = now - this.#snapshotAt
    const keepalive = since >= this.#profile.keepaliveMs
    if (since < Math.round(1000 / this.#profile.snapshotHz) || (!this.#dirty && !keepalive)) return
    const payload = collect(this.#stateProviders)
    if (payload.length === 0 && !keepalive) return
    this.#snapshotAt = now
    this.#dirty = false
    this.#stream(this.#adapter.publish({ type: 'pc-snapshot', ...this.#frame('snapshot', now), payload, keepalive }))
  }

  #sendCommands (now: number): void {
    if (this.#commandProviders.size === 0 || this.#streaming >= STREAMING_MAX) return
    if (now - this.#commandAt < Math.round(1000 / this.#profile.commandHz)) return
    const payload = collect(this.#commandProviders, true)
    if (payload.length === 0) return
    this.#commandAt = now
    const message: CommandMessage = { type: 'pc-command', ...this.#frame('command', now), payload }
    const authority = this.authorityId
    const alone = authority !== null && authority !== this.#adapter.peerId()
    this.#stream(alone ? this.#adapter.send(authority, message) : this.#adapter.publish(message))
  }

  #sendEvents (now: number): void {
    if (this.#events.length === 0 && this.#reliable.size === 0) return
    if (this.#onWay.size >= SENDING_MAX) return
    const { maxEventsPerTick, eventRetryMax } = this.#profile
    const groups = new Map<string | undefined, Array<{ event: QueuedEvent, reliable: boolean }>>()
    const add = (to: string | undefined, event: QueuedEvent, reliable: boolean): void => {
      const group = groups.get(to) ?? []
      groups.set(to, group)
      group.push({ event, reliable })
    }
    const due = this.#reliable.due(now, this.#adapter.peers(), eventRetryMax, maxEventsPerTick)
    for (const event of due) {
      // A peer that is still being connected to needs no repetition.
      const idle = receivers(event).filter((to) => to === undefined || !this.#sending.has(`${to} ${event.id}`))
      for (const to of idle) add(to, event, true)
      if (idle.length > 0) this.#reliable.sent(event.id, now)
    }
    for (const event of this.#events.splice(0, maxEventsPerTick - due.length)) add(event.target, event, false)
    for (const [to, group] of groups) this.#sendGroup(to, group, now)
  }

  #sendGroup (to: string | undefined, group: Array<{ event: QueuedEvent, reliable: boolean }>, now: number): void {
    let entries: EventEntry[] = []
    let bytes = 0
    const finish = (): void => {
      if (entries.length === 0) return
      const message: EventMessage = { type: 'pc-event', ...this.#frame('event', now), payload: entries }
      this.#track(to === undefined ? this.#adapter.publish(message) : this.#sendEvent(to, message))
      entries = []
      bytes = 0
    }
    for (const { event, reliable } of group) {
      if (bytes + event.bytes > BATCH_BYTES_MAX) finish()
      entries.push({ id: event.id, payload: event.payload, reliable, ts: now })
      bytes += event.bytes
    }
    finish()
  }

  async #sendEvent (to: string, message: EventMessage): Promise<void> {
    const keys = message.payload.map(({ id }) => `${to} ${id}`)
    for (const key of keys) this.#sending.add(key)
    try {
      await this.#adapter.send(to, message)
    } finally {
      for (const key of keys) this.#sending.delete(key)
    }
  }

  #frame (type: Header['type'], now: number): { header: Header, gameId: string, roomId: string } {
    const header = { type, seq: this.#seq[type]++, ts: now, peerId: this.#adapter.peerId(), authorityId: this.authorityId }
    return { header, gameId: this.#adapter.gameId, roomId: this.#adapter.roomId }
  }

  #stream (sending: Promise<void>): void {
    this.#streaming += 1
    this.#track(sending.finally(() => { this.#streaming -= 1 }))
  }

  /** Counts a message until it is sent. A failure is the adapter's to report. */
  #track (sending: Promise<void>): void {
    const over = sending.catch(() => {}).finally(() => { this.#onWay.delete(over) })
    this.#onWay.add(over)
  }

  #addProvider (providers: Map<string, Provider>, provider: Provider, id: string): string {
    if (typeof provider !== 'function' || typeof id !== 'string' || id.length > SCHEDULED_ID_CHARS_MAX) {
      throw new PeerworkError('invalid-argument', `a provider is a function, with an id of at most ${SCHEDULED_ID_CHARS_MAX} characters`)
    }
    if (!providers.has(id) && providers.size >= PROVIDERS_MAX) {
      throw new PeerworkError('invalid-argument', `a scheduler calls at most ${PROVIDERS_MAX} providers`)
    }
    providers.set(id, provider)
    return id
  }

  /** The peer that alone gets an event: messages with a `target` are no business of other peers. */
  #targetOf (payload: Json, given: string | undefined): string | undefined {
    if (given !== undefined) return given
    const target: unknown = Object(payload)['target']
    return isPeerId(target) ? target : undefined
  }
}

/** The peers that an event goes to in this tick; `undefined` stands for all. */
function receivers (event: { target: string | undefined, attempts: number, missing: string[] }): Array<string | undefined> {
  if (event.target !== undefined) return [event.target]
  const direct = event.attempts > 0 && event.missing.length > 0 && event.missing.length <= REPEAT_DIRECTLY_MAX
  return direct ? event.missing : [undefined]
}

function collect (providers: ReadonlyMap<string, Provider>, spread = false): ProviderEntry[] {
  const entries: ProviderEntry[] = []
  for (const [id, provider] of providers) {
    const data = callProvider(`the provider "${id}"`, provider)
    for (const one of spread && Array.isArray(data) ? data as unknown[] : [data]) {
      if (one !== undefined && one !== null && entries.length < SCHEDULED_ENTRIES_MAX) entries.push({ id, data: one as Json })
    }
  }
  return entries
}

function toJson (payload: unknown): { value: Json, bytes: number } {
  let text: string | undefined
  try {
    text = JSON.stringify(payload) as string | undefined
  } catch (cause) {
    throw new PeerworkError('invalid-argument', 'the event cannot be written as JSON', { cause })
  }
  if (text === undefined) throw new PeerworkError('invalid-argument', 'the event cannot be written as JSON')
  const bytes = utf8(text).byteLength
  if (bytes > EVENT_BYTES_MAX) {
    throw new PeerworkError('too-large', `the event has ${bytes} bytes where ${EVENT_BYTES_MAX} are allowed`)
  }
  return { value: JSON.parse(text) as Json, bytes }
}

function added<T> (list: T[], item: T): () => void {
  list.push(item)
  return () => {
    const at = list.indexOf(item)
    if (at >= 0) list.splice(at, 1)
  }
}
