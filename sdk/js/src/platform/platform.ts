/** What differs between a browser and Node.js. */

import type { Libp2pOptions } from 'libp2p'

type Transports = NonNullable<Libp2pOptions['transports']>

/** What the transports are made with. */
export interface TransportSettings {
  /** STUN and TURN servers for WebRTC. */
  iceServers: RTCIceServer[]
}

/** A place where one task runs, in a thread of its own. */
export interface TaskThread {
  /** Ends the thread at once, also in the middle of an endless loop. */
  stop: () => void
}

/** What a thread is told and what it answers to. */
export interface TaskRun {
  /** JavaScript that defines `run` and `answer`, see `compute/task-script.ts`. */
  script: string
  /** The JSON of the input. */
  input: string
  /** Memory for the task where the platform can bound it. */
  memoryMiB: number
  /** The one answer: what the script posted. */
  onAnswer: (answer: unknown) => void
  /** The thread failed or ended without an answer. */
  onFailure: (message: string) => void
}

/** A stored secret. */
export interface KeyStorage {
  load: () => Promise<string | undefined>
  save: (text: string) => Promise<void>
}

export interface Platform {
  readonly name: 'browser' | 'node'
  transports: (settings: TransportSettings) => Transports
  /** Where a node listens from the start, circuits aside. */
  readonly listen: readonly string[]
  /** How many processors there are. */
  processors: () => number
  startTask: (run: TaskRun) => TaskThread
  keyStorage: (name: string) => Promise<KeyStorage>
  /** Calls `listener` when the network may be back. */
  onOnline: (listener: () => void) => () => void
  /** Calls `listener` when the page or process is about to end. */
  onExit: (listener: () => void) => () => void
}
