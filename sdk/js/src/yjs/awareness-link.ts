/**
 * `AwarenessLink` carries the awareness states of a Yjs document over a topic of the room. Each peer
 * has one state, and only messages that this peer signed change it.
 */

import { applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from 'y-protocols/awareness'
import { PeerworkError } from '../errors.js'
import { isIntegerIn, isObject, isShallow, utf8 } from '../bytes.js'
import { PEERS_MAX, YJS_AWARENESS_BYTES_MAX } from '../limits.js'
import { clock } from '../time.js'
import type { Awareness } from 'y-protocols/awareness'
import type { Json } from '../bytes.js'
import type { ProviderNode } from './provider-node.js'
import type { TopicMessage } from '../node.js'

const VERSION = 1
/** The largest clock of a state. */
const CLOCK_MAX = 2 ** 48
/** The shortest time between two messages of this node; changes in between are combined. */
const GAP_MS = 60
/** The time over which answers to a new peer are spread; it grows in large rooms. */
const ANSWER_MS = 300
const ANSWER_MS_PER_PEER = 5

/** The state of one peer. */
interface Said {
  /** Whether the author asks the others for their states. */
  ask: boolean
  client: number
  clock: number
  /** The state; `null` when the peer has none any more. */
  state: { [key: string]: Json } | null
}

export interface AwarenessListener {
  /** Whether messages of a peer are taken. */
  takes: (peer: string) => boolean
  /** Called for each message of a peer, which has the document open, or closes it. */
  onHeard: (peer: string, isOpen: boolean) => void
  onFailure: (error: PeerworkError) => void
}

export class AwarenessLink {
  readonly #node: ProviderNode
  readonly #topic: string
  readonly #awareness: Awareness
  readonly #origin: unknown
  readonly #listener: AwarenessListener
  /** The client id of the state of each peer. */
  readonly #clients = new Map<string, number>()
  readonly #owners = new Map<number, string>()
  #unsubscribe: (() => void) | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #sendsAt = Number.POSITIVE_INFINITY
  #sentAt = 0
  #asks = false

  /** @param origin the origin of the changes that messages of peers make */
  constructor (node: ProviderNode, topic: string, awareness: Awareness, origin: unknown, listener: AwarenessListener) {
    this.#node = node
    this.#topic = topic
    this.#awareness = awareness
    this.#origin = origin
    this.#listener = listener
  }

  /** Sends the own state, and takes the states of others. */
  start (): void {
    this.#awareness.on('update', this.#onUpdate)
    this.#unsubscribe = this.#node.subscribe(this.#topic, this.#onMessage)
    this.announce({ ask: true })
  }

  /** Removes the states of all others, and tells the others that this node has none. */
  stop (): void {
    clearTimeout(this.#timer)
    this.#sendsAt = Number.POSITIVE_INFINITY
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
    this.#awareness.off('update', this.#onUpdate)
    for (const peer of [...this.#clients.keys()]) this.remove(peer)
    const { clientID: client } = this.#awareness
    this.#publish({ ask: false, client, clock: this.#clock + 1, state: null })
  }

  /** Sends the own state soon, because a peer came, and asks for the states of others if told so. */
  announce ({ ask }: { ask: boolean }): void {
    this.#asks ||= ask
    const spread = Math.max(ANSWER_MS, ANSWER_MS_PER_PEER * this.#node.peers.length)
    this.#sendIn(ask ? 0 : Math.random() * spread)
  }

  /** Removes the state of a peer. */
  remove (peer: string): void {
    const client = this.#clients.get(peer)
    if (client === undefined) return
    this.#clients.delete(peer)
    this.#owners.delete(client)
    removeAwarenessStates(this.#awareness, [client], this.#origin)
    // A peer that comes back starts with any clock.
    this.#awareness.meta.delete(client)
  }

  get #clock (): number {
    return this.#awareness.meta.get(this.#awareness.clientID)?.clock ?? 0
  }

  readonly #onUpdate = ({ added, updated, removed }: Record<'added' | 'updated' | 'removed', number[]>): void => {
    for (const client of removed) {
      // A state that was not renewed in time.
      const owner = this.#owners.get(client)
      if (owner !== undefined) this.remove(owner)
    }
    if ([...added, ...updated, ...removed].includes(this.#awareness.clientID)) this.#sendIn(0)
  }

  #sendIn (ms: number): void {
    const at = Math.max(clock() + ms, this.#sentAt + GAP_MS)
    if (at >= this.#sendsAt || this.#unsubscribe === undefined) return
    clearTimeout(this.#timer)
    this.#sendsAt = at
    this.#timer = setTimeout(() => { this.#send() }, at - clock())
  }

  #send (): void {
    const { clientID: client } = this.#awareness
    const ask = this.#asks
    this.#asks = false
    this.#sendsAt = Number.POSITIVE_INFINITY
    this.#sentAt = clock()
    this.#publish({ ask, client, clock: this.#clock, state: this.#awareness.getLocalState() as Said['state'] })
  }

  #publish (said: Said): void {
    if (!fits(said.state)) {
      this.#listener.onFailure(new PeerworkError('too-large', 'an awareness state is JSON of at most 8 KiB'))
      said = { ...said, state: null }
    }
    const retry = (): void => { this.#asks ||= said.ask }
    this.#node.publish(this.#topic, { v: VERSION, ...said }).then((taken) => { if (taken === 0) retry() }, retry)
  }

  readonly #onMessage = ({ from, data }: TopicMessage): void => {
    if (!this.#listener.takes(from)) return
    const said = parse(data)
    if (said === undefined) return
    this.#apply(from, said)
    this.#listener.onHeard(from, said.state !== null || said.ask)
    if (said.ask) this.announce({ ask: false })
  }

  #apply (peer: string, { client, clock, state }: Said): void {
    const owner = this.#owners.get(client)
    if (client === this.#awareness.clientID || (owner !== undefined && owner !== peer)) return
    if (state === null || this.#clients.get(peer) !== client) this.remove(peer)
    if (state === null || (owner === undefined && this.#owners.size >= PEERS_MAX)) return
    this.#clients.set(peer, client)
    this.#owners.set(client, peer)
    const meta = new Map([[client, { clock, lastUpdated: 0 }]])
    const update = encodeAwarenessUpdate({ meta } as Awareness, [client], new Map([[client, state]]))
    applyAwarenessUpdate(this.#awareness, update, this.#origin)
  }
}

function parse (message: unknown): Said | undefined {
  if (!isObject(message) || message['v'] !== VERSION) return undefined
  const { ask, client, clock, state } = message
  if (typeof ask !== 'boolean' || !isIntegerIn(client, 0, Number.MAX_SAFE_INTEGER)) return undefined
  if (!isIntegerIn(clock, 0, CLOCK_MAX) || (state !== null && !isObject(state)) || !fits(state)) return undefined
  return { ask, client, clock, state: state as Said['state'] }
}

function fits (state: unknown): boolean {
  try {
    const text = JSON.stringify(state)
    return isShallow(text) && utf8(text).byteLength <= YJS_AWARENESS_BYTES_MAX
  } catch {
    return false
  }
}
