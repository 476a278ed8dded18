/** Computing on other peers, and for them. */

import { PeerworkError, messageOf } from '../errors.js'
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

/** What a node offers to compute for others. */
export interface OfferOptions {
  /** Tasks that run at once, each in a thread of its own; half of the processors if not given. */
  workers?: number
  /** Tasks that may wait for a worker; as many as there are workers if not given. */
  queue?: number
  /** The longest time for one task; 30 s if not given, at most 10 minutes. */
  timeoutMaxMs?: number
  /** Memory for one task in Node.js; 128 MiB if not given. Browsers bound it themselves. */
  memoryMiB?: number
  /** Decides for whom to compute; for all members of the room if not given. */
  allow?: (peer: string) => boolean
}

/** How long a peer may take to send its task. */
const RECEIVE_DEADLINE_MS = 30_000
const WORKERS_MAX = 1024

interface Offer {
  pool: Pool
  workers: number
  timeoutMaxMs: number
  allow: (peer: string) => boolean
}

/** The compute part of a node, `node.compute`. */
export class Compute {
  readonly #peers: ComputePeers
  readonly #onOffer: (workers: number) => void
  #offer: Offer | undefined

  /** Applications use `node.compute`. */
  constructor (peers: ComputePeers, onOffer: (workers: number) => void) {
    this.#peers = peers
    this.#onOffer = onOffer
  }

  /**
   * Computes tasks of other members of the room from now on.
   *
   * **This runs code that strangers wrote.** In a browser each task gets a new Web Worker: it has no
   * DOM, no cookies and no `localStorage`; `fetch`, WebSocket, IndexedDB and the like are taken away,
   * but `import()` of a URL remains, so serve the page with a content security policy
   * (`script-src 'self'; worker-src blob:; connect-src` your relay) to close the network. In Node.js
   * each task gets a worker thread and a context of `node:vm` without Node's own objects; that is a
   * fence and no wall: run it in a container, as a user who may do nothing. A task can use a
   * processor to the full until its time is over.
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
   * Hands a task to several peers that offer to compute, and returns what more than half of them
   * agree on.
   *
   * @param task a pure function, or its source text. It is sent as text: it sees its input and
   * nothing of this page, and must give the same result everywhere (no time, no chance).
   * @param input its argument, JSON
   * @throws PeerworkError `too-few-peers`, `no-majority` (its `cause` is a {@link RunResult} without a
   * value: who said what), `task-failed` when a majority says that the task threw, `too-large`,
   * `invalid-argument`; the signal's reason when it is aborted.
   */
  async run<Input extends Json, Output extends Json> (
    task: string | ((input: Input) => Output | Promise<Output>), input: Input, options: RunOptions = {}
  ): Promise<RunResult<Output>> {
    const source = typeof task === 'function' ? task.toString() : task
    const redundancy = options.redundancy ?? 3
    const timeoutMs = options.timeoutMs ?? 10_000
    check('redundancy', redundancy, 1, TASK_REDUNDANCY_MAX)
    check('timeoutMs', timeoutMs, 1, TASK_TIMEOUT_MAX_MS)
    const text = canonicalJson(input)
    if (source.length > TASK_SOURCE_CHARS_MAX || text.length > TASK_INPUT_BYTES_MAX) {
      throw new PeerworkError('too-large', 'the task has more than 64 Ki characters, or its input more than 1 MiB')
    }
    return await runOn<Output>(this.#peers, { source, input: text, timeoutMs }, { ...options, redundancy })
  }

  /** For this package's own use: answers a peer's task. */
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
      stream.abort(error instanceof Error ? error : new Error(messageOf(error)))
    }
  }

  /** For this package's own use: ends the offer. */
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
