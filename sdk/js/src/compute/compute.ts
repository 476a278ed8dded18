/** `Compute` runs tasks on other peers, and runs tasks of other peers on this node. */

import { PeerworkError, asError } from '../errors.js'
import {
  TASK_INPUT_BYTES_MAX, TASK_REDUNDANCY_MAX, TASK_SOURCE_CHARS_MAX, TASK_TIMEOUT_MAX_MS
} from '../limits.js'
import { readJsonFrame, writeJsonFrame } from '../stream/frames.js'
import { StreamReader } from '../stream/reader.js'
import { endWriting } from '../stream/writer.js'
import { withDeadline } from '../time.js'
import { platform } from '#platform'
import { canonicalJson } from './canonical-json.js'
import { Pool } from './pool.js'
import { runOn } from './run.js'
import { TASK_FRAME_BYTES_MAX, parseTask } from './wire.js'
import type { ComputePeers, RunOptions, RunResult } from './run.js'
import type { TaskAnswer } from './wire.js'
import type { Json } from '../bytes.js'
import type { Stream } from '@libp2p/interface'

/** The resources that a node offers for tasks of other peers. */
export interface OfferOptions {
  /**
   * The number of tasks that run at once, each in a thread of its own; default: half of the
   * processors.
   */
  workers?: number
  /** The number of tasks that may wait for a worker; default: the number of workers. */
  queue?: number
  /** The longest time for one task; default 30 s, at most 10 minutes. */
  timeoutMaxMs?: number
  /** The memory for one task in Node.js; default 128 MiB. Browsers set their own limit. */
  memoryMiB?: number
  /** Decides whether to run tasks of a peer; default: tasks of all members of the room. */
  allow?: (peer: string) => boolean
}

/** The time that a peer has to send its task. */
const RECEIVE_DEADLINE_MS = 30_000
const WORKERS_MAX = 1024

interface Offer {
  pool: Pool
  workers: number
  timeoutMaxMs: number
  allow: (peer: string) => boolean
}

/** The compute interface of a node, `node.compute`. */
export class Compute {
  readonly #peers: ComputePeers
  readonly #onOffer: (workers: number) => void
  #offer: Offer | undefined

  /**
   * For internal use: applications use `node.compute`.
   *
   * @internal
   */
  constructor (peers: ComputePeers, onOffer: (workers: number) => void) {
    this.#peers = peers
    this.#onOffer = onOffer
  }

  /**
   * Begins to run tasks of other members of the room.
   *
   * **This runs code that strangers wrote.** In a browser each task gets a new Web Worker without
   * DOM, cookies and `localStorage`. `fetch`, WebSocket, IndexedDB and similar interfaces are
   * removed, but `import()` of a URL remains, so serve the page with a content security policy
   * (`script-src 'self'; worker-src blob:; connect-src` your relay) to cut the task off from the
   * network. In Node.js each task gets a worker thread and a `node:vm` context without Node's own
   * objects. That context is no security boundary: run the process in a container, as a user
   * without permissions. A task can keep a processor fully busy until its time is over.
   *
   * @returns a function that ends the offer and all tasks.
   * @throws PeerworkError `invalid-argument` for a number out of bounds.
   */
  offer (options: OfferOptions = {}): () => void {
    const workers = options.workers ?? Math.max(1, Math.floor(platform.processors() / 2))
    const queue = options.queue ?? workers
    const timeoutMaxMs = options.timeoutMaxMs ?? 30_000
    const memoryMiB = options.memoryMiB ?? 128
    check('workers', workers, 1, WORKERS_MAX)
    check('queue', queue, 0, 1_000_000)
    check('timeoutMaxMs', timeoutMaxMs, 1, TASK_TIMEOUT_MAX_MS)
    check('memoryMiB', memoryMiB, 4, 1_000_000)
    this.stop()
    const pool = new Pool({ workers, queue, timeoutMaxMs, memoryMiB })
    const offer = { pool, workers, timeoutMaxMs, allow: options.allow ?? (() => true) }
    this.#offer = offer
    this.#onOffer(workers)
    return () => { if (this.#offer === offer) this.stop() }
  }

  /**
   * Sends a task to several peers that offer to compute, and returns the result on which more than
   * half of them agree: three peers, or `redundancy`, or fewer if `atLeast` allows that.
   *
   * @param task a pure function, or its source text. It is sent as text: it can use its input and
   * nothing of this page, and must return the same result everywhere (no clock, no random numbers).
   * @param input the function's argument, JSON
   * @throws PeerworkError `too-few-peers` (its `cause` is `{ needed, present }`), `no-majority` (its `cause` is a {@link RunResult}
   * without a value, with the answer of each peer), `task-failed` when a majority reports that the
   * task threw, `too-large`, `invalid-argument`; the signal's reason when it is aborted.
   */
  async run<Input extends Json, Output extends Json> (
    task: string | ((input: Input) => Output | Promise<Output>), input: Input, options: RunOptions = {}
  ): Promise<RunResult<Output>> {
    const source = typeof task === 'function' ? task.toString() : task
    const redundancy = options.redundancy ?? 3
    const timeoutMs = options.timeoutMs ?? 10_000
    check('redundancy', redundancy, 1, TASK_REDUNDANCY_MAX)
    const atLeast = options.atLeast ?? redundancy
    check('atLeast', atLeast, 1, redundancy)
    check('timeoutMs', timeoutMs, 1, TASK_TIMEOUT_MAX_MS)
    const text = canonicalJson(input)
    if (source.length > TASK_SOURCE_CHARS_MAX || text.length > TASK_INPUT_BYTES_MAX) {
      throw new PeerworkError('too-large', 'the task has more than 64 Ki characters, or its input more than 1 MiB')
    }
    return await runOn<Output>(this.#peers, { source, input: text, timeoutMs }, { ...options, redundancy, atLeast })
  }

  /**
   * For internal use: runs the task of a peer and answers it.
   *
   * @internal
   */
  async serve (stream: Stream, from: string): Promise<void> {
    const gone = new AbortController()
    stream.addEventListener('close', () => { gone.abort(new Error('the peer cancelled')) }, { once: true })
    try {
      const reader = new StreamReader(stream)
      const message = await withDeadline({ ms: RECEIVE_DEADLINE_MS, late, signal: gone.signal }, async (signal) => {
        return await readJsonFrame(reader, TASK_FRAME_BYTES_MAX, signal)
      })
      const answer = await this.#answer(message, from, gone.signal)
      await withDeadline({ ms: RECEIVE_DEADLINE_MS, late, signal: gone.signal }, async (signal) => {
        await writeJsonFrame(stream, answer, signal)
        await endWriting(stream, signal)
      })
    } catch (error) {
      stream.abort(asError(error))
    }
  }

  /** For internal use: ends the offer. */
  stop (): void {
    if (this.#offer === undefined) return
    this.#offer.pool.close()
    this.#offer = undefined
    this.#onOffer(0)
  }

  async #answer (message: unknown, from: string, signal: AbortSignal): Promise<TaskAnswer> {
    const offer = this.#offer
    if (offer === undefined || !offer.allow(from)) {
      return { ok: false, failure: 'refused', message: 'this peer computes nothing for you' }
    }
    const task = parseTask(message)
    if (task === undefined) return { ok: false, failure: 'refused', message: 'the task is malformed' }
    return await offer.pool.run(task, signal)
  }
}

function check (name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new PeerworkError('invalid-argument', `${name} is a whole number from ${min} to ${max}`)
  }
}

function late (): PeerworkError {
  return new PeerworkError('timeout', 'the peer took too long')
}
