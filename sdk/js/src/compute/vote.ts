/** `Vote` finds the result on which a majority of peers agrees. It is pure state. */

import { canonicalJson } from './canonical-json.js'
import type { TaskAnswer } from './wire.js'
import type { Json } from '../bytes.js'

/** The final answer of a peer. */
export type Reply = TaskAnswer | { ok: false, failure: 'unreachable', message: string }

export class Vote {
  readonly #atLeast: number
  #voters: number
  readonly #replies = new Map<string, Reply>()
  readonly #ballots = new Map<string, string[]>()

  /**
   * @param voters the number of peers that get the task; more than half must agree
   * @param atLeast the number that counts where fewer peers take the task
   */
  constructor (voters: number, atLeast = voters) {
    this.#voters = voters
    this.#atLeast = atLeast
  }

  get needed (): number {
    return Math.floor(Math.max(this.#voters, this.#atLeast) / 2) + 1
  }

  /** Counts one voter less: a peer did not take the task, and no other peer can replace it. */
  without (): void {
    this.#voters -= 1
  }

  add (peer: string, reply: Reply): void {
    this.#replies.set(peer, reply)
    const ballot = ballotOf(reply)
    if (ballot === undefined) return
    const peers = this.#ballots.get(ballot) ?? []
    this.#ballots.set(ballot, peers)
    peers.push(peer)
  }

  replyOf (peer: string): Reply | undefined {
    return this.#replies.get(peer)
  }

  /** The peers that agree, as soon as they are a majority. */
  get majority (): { peers: string[], reply: Reply } | undefined {
    for (const peers of this.#ballots.values()) {
      const reply = peers[0] === undefined ? undefined : this.#replies.get(peers[0])
      if (reply !== undefined && peers.length >= this.needed) return { peers, reply }
    }
    return undefined
  }
}

/**
 * The text by which results are compared: two peers agree when their results are the same JSON. A
 * thrown error is a result too, but its message is not compared, because JavaScript engines word it
 * differently.
 */
function ballotOf (reply: Reply): string | undefined {
  if (!reply.ok) return reply.failure === 'threw' ? 'threw' : undefined
  try {
    return `result:${canonicalJson(reply.result as Json)}`
  } catch {
    return undefined
  }
}
