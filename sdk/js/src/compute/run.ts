/** This module sends one task to several peers and counts their results as votes. */

import { longController } from '../abort.js'
import { PeerworkError, asError, messageOf } from '../errors.js'
import { shuffled } from '../shuffled.js'
import { readJsonFrame, writeJsonFrame } from '../stream/frames.js'
import { StreamReader } from '../stream/reader.js'
import { endWriting } from '../stream/writer.js'
import { clock, withDeadline } from '../time.js'
import { ANSWER_FRAME_BYTES_MAX, parseAnswer, taskMessage } from './wire.js'
import { Vote } from './vote.js'
import type { Reply } from './vote.js'
import type { Task } from './wire.js'
import type { Json } from '../bytes.js'
import type { Stream } from '@libp2p/interface'

/**
 * The functions of the node that computing uses.
 *
 * @internal
 */
export interface ComputePeers {
  /** The ids of present peers that offer to compute. */
  offering: () => string[]
  openStream: (peer: string, signal: AbortSignal) => Promise<Stream>
}

export interface RunOptions {
  /**
   * The number of peers that compute the task; more than half must agree. Default 3, at most 32.
   */
  redundancy?: number
  /**
   * The number of peers with which the task is content, where fewer than `redundancy` offer to
   * compute; default: as many as `redundancy`. With `atLeast: 1` the task takes the peers that are
   * there, up to `redundancy`; `reports` tells which. More than half of the peers that took the task
   * must agree: with one peer, the result is what this peer says.
   */
  atLeast?: number
  /**
   * The time that one peer may take, waiting in its queue included; default 10 s, at most 10
   * minutes.
   */
  timeoutMs?: number
  /** Cancels the task at all peers. */
  signal?: AbortSignal
  /** The peers to choose from; default: all peers that offer to compute. */
  peers?: string[]
  /** `majority` returns as soon as a majority agrees, `all` waits for the answers of all peers. */
  until?: 'majority' | 'all'
}

/** The outcome of a task at one peer. */
export interface PeerReport {
  peer: string
  outcome:
    | 'agreed'
    /** The peer returned another result than the majority, or there was no majority. */
    | 'disagreed'
    | 'threw'
    | 'timeout'
    | 'busy'
    | 'refused'
    | 'unreachable'
    /** The majority was found before the peer answered. */
    | 'cancelled'
  /** The result of the peer, if it sent one. */
  result?: Json
  /** The error message of the peer, if it sent no result. */
  message?: string
  /** The time from sending the task to receiving the answer, in milliseconds. */
  ms: number
}

export interface RunResult<Output extends Json = Json> {
  /** The result on which the majority agrees. */
  value: Output
  /** One report for each peer that got the task. */
  reports: PeerReport[]
}

/**
 * The options with the defaults filled in.
 *
 * @internal
 */
export interface CheckedRunOptions extends RunOptions {
  redundancy: number
  atLeast: number
}

/** The time for sending the task and its answer, in addition to the task's own time. */
const TRAVEL_MS = 5_000

/** @internal */
export async function runOn<Output extends Json> (
  peers: ComputePeers, task: Task, options: CheckedRunOptions
): Promise<RunResult<Output>> {
  options.signal?.throwIfAborted()
  const offering = new Set(peers.offering())
  // A peer that the caller names twice has one vote.
  const candidates = shuffled([...new Set(options.peers ?? offering)]).filter((peer) => offering.has(peer))
  if (candidates.length < options.atLeast) throw tooFew(candidates.length, options)
  return await new Run<Output>(peers, task, options, candidates).result()
}

function tooFew (present: number, { redundancy, atLeast, peers }: CheckedRunOptions): PeerworkError {
  const offer = present === 0 ? 'no peer offers' : present === 1 ? 'one peer offers' : `${present} peers offer`
  const among = peers === undefined ? '' : ' among the given peers'
  const advice = present === 0
    ? 'a peer offers with node.compute.offer()'
    : `pass { atLeast: ${present} } to compute with fewer`
  return new PeerworkError('too-few-peers',
    `the task needs ${atLeast} of ${redundancy} peers, and ${offer} to compute${among}; ${advice}`,
    { cause: { needed: atLeast, present } })
}

class Run<Output extends Json> {
  readonly #peers: ComputePeers
  readonly #task: Task
  readonly #options: CheckedRunOptions
  readonly #candidates: string[]
  readonly #vote: Vote
  readonly #asked = new Map<string, { since: number, ms?: number }>()
  readonly #over = longController()
  readonly #pending = new Set<Promise<void>>()

  constructor (
    peers: ComputePeers, task: Task, options: CheckedRunOptions, candidates: string[]
  ) {
    this.#peers = peers
    this.#task = task
    this.#options = options
    this.#candidates = candidates
    this.#vote = new Vote(Math.min(options.redundancy, candidates.length), options.atLeast)
  }

  async result (): Promise<RunResult<Output>> {
    const cancel = (): void => { this.#over.abort(this.#options.signal?.reason) }
    this.#options.signal?.addEventListener('abort', cancel, { once: true })
    try {
      for (let count = 0; count < this.#options.redundancy; count += 1) this.#ask()
      while (this.#pending.size > 0 && !this.#isDecided) await Promise.race(this.#pending)
      this.#options.signal?.throwIfAborted()
      return this.#conclude()
    } finally {
      this.#options.signal?.removeEventListener('abort', cancel)
      this.#over.abort(new Error('the task is decided'))
    }
  }

  get #isDecided (): boolean {
    if (this.#options.signal?.aborted === true) return true
    // Without a majority the run waits for all peers, so that the reports hold the answer of each.
    return this.#options.until !== 'all' && this.#vote.majority !== undefined
  }

  /** Sends the task to one more peer. */
  #ask (): void {
    const peer = this.#candidates.pop()
    if (peer === undefined) return
    this.#asked.set(peer, { since: clock() })
    const asking = this.#reply(peer).then((reply) => {
      this.#pending.delete(asking)
      if (this.#over.signal.aborted) return
      this.#vote.add(peer, reply)
      const asked = this.#asked.get(peer)
      if (asked !== undefined) asked.ms = clock() - asked.since
      // A peer that did not compute is replaced by another; a peer that was too slow or wrong has
      // used its vote.
      if (reply.ok || !['busy', 'refused', 'unreachable'].includes(reply.failure)) return
      if (this.#candidates.length > 0) this.#ask()
      else this.#vote.without()
    })
    this.#pending.add(asking)
  }

  async #reply (peer: string): Promise<Reply> {
    const late = (): PeerworkError => new PeerworkError('timeout', 'the peer did not answer in time')
    const ms = this.#task.timeoutMs + TRAVEL_MS
    let stream: Stream | undefined
    try {
      return await withDeadline({ ms, late, signal: this.#over.signal }, async (signal) => {
        stream = await this.#peers.openStream(peer, signal)
        await writeJsonFrame(stream, taskMessage(this.#task), signal)
        const answer = parseAnswer(await readJsonFrame(new StreamReader(stream), ANSWER_FRAME_BYTES_MAX, signal))
        if (answer === undefined) throw new PeerworkError('bad-answer', 'the peer answered nonsense')
        await endWriting(stream, signal)
        return answer
      })
    } catch (error) {
      // Resetting the stream tells the peer to stop computing.
      stream?.abort(asError(error))
      const failure = error instanceof PeerworkError && error.code === 'timeout' ? 'timeout' : 'unreachable'
      return { ok: false, failure, message: messageOf(error).slice(0, 500) }
    }
  }

  #conclude (): RunResult<Output> {
    const majority = this.#vote.majority
    const reports = [...this.#asked].map(([peer, { since, ms }]) => {
      return { ...this.#report(peer, majority?.peers ?? []), ms: ms ?? clock() - since }
    })
    if (majority === undefined) {
      const cause = { reports }
      throw new PeerworkError('no-majority', `no ${this.#vote.needed} peers agree: ${summary(reports)}`, { cause })
    }
    if (!majority.reply.ok) {
      throw new PeerworkError('task-failed', majority.reply.message, { cause: { reports } })
    }
    return { value: majority.reply.result as Output, reports }
  }

  #report (peer: string, agreeing: string[]): Omit<PeerReport, 'ms'> {
    const reply = this.#vote.replyOf(peer)
    if (reply === undefined) return { peer, outcome: 'cancelled' }
    if (reply.ok) {
      return { peer, outcome: agreeing.includes(peer) ? 'agreed' : 'disagreed', result: reply.result }
    }
    return { peer, outcome: reply.failure, message: reply.message }
  }
}

function summary (reports: PeerReport[]): string {
  return reports.map(({ peer, outcome, message }) => {
    return `${peer} ${outcome}${message === undefined ? '' : ` (${message})`}`
  }).join(', ')
}
