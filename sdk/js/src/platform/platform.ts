/** `Platform` is the interface to the features in which browsers and Node.js differ. */

import type { StateStorage } from '../state/storage.js'

/** A thread that runs one task. */
export interface TaskThread {
  /** Ends the thread at once, even in an endless loop. */
  stop: () => void
}

/** The task of a thread, and the callbacks for its result. */
export interface TaskRun {
  /** JavaScript that defines `run` and `answer`, see `compute/task-script.ts`. */
  script: string
  /** The JSON of the input. */
  input: string
  /** The memory limit of the task, on platforms that can enforce it. */
  memoryMiB: number
  /** Called once with the answer that the script posted. */
  onAnswer: (answer: unknown) => void
  /** Called when the thread failed or ended without an answer. */
  onFailure: (message: string) => void
}

/** A stored secret. */
export interface KeyStorage {
  load: () => Promise<string | undefined>
  save: (text: string) => Promise<void>
}

export interface Platform {
  readonly name: 'browser' | 'node'
  /** The addresses on which a node listens by default, without circuit addresses. */
  readonly listen: readonly string[]
  /** The number of processors. */
  processors: () => number
  startTask: (run: TaskRun) => TaskThread
  /** The storage of shared states with a name; nothing is opened before the first use. */
  stateStorage: (name: string) => StateStorage
  /** Lets any number of listeners wait for a signal; older versions of Node.js warn of more than 10. */
  allowListeners: (signal: AbortSignal) => void
  /** Calls `listener` when the network may be available again. */
  onOnline: (listener: () => void) => () => void
  /** Calls `listener` when the page or process is about to end. */
  onExit: (listener: () => void) => () => void
}
