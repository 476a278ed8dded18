/** `Process` starts and ends a child process; every wait for the process has a deadline. */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { ChildProcess } from 'node:child_process'

const STOP_DEADLINE_MS = 10_000

const running = new Set<ChildProcess>()

// A test that crashes must not leave processes behind.
process.once('exit', () => { for (const child of running) child.kill('SIGKILL') })

export class Process {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #exited: Promise<void>
  #over = false
  #onLine: () => void = () => {}

  constructor (command: string, args: string[], env: NodeJS.ProcessEnv = process.env) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null) continue
      createInterface(stream).on('line', (line) => {
        this.#lines.push(line)
        this.#onLine()
      })
    }
    running.add(this.#child)
    this.#child.once('exit', () => { running.delete(this.#child) })
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', () => {
        this.#over = true
        this.#onLine()
        resolve()
      })
      this.#child.once('error', () => {
        this.#over = true
        this.#onLine()
        resolve()
      })
    })
  }

  get output (): string {
    return this.#lines.join('\n')
  }

  get pid (): number {
    return this.#child.pid ?? 0
  }

  get isOver (): boolean {
    return this.#over
  }

  /** Waits for a line that matches, also among the lines so far. */
  async line (pattern: RegExp, deadlineMs = 30_000): Promise<RegExpExecArray> {
    const deadline = Date.now() + deadlineMs
    for (;;) {
      for (const line of this.#lines) {
        const match = pattern.exec(line)
        if (match !== null) return match
      }
      if (this.#over) throw new Error(`the process ended before ${pattern}:\n${this.output}`)
      if (Date.now() > deadline) throw new Error(`no line like ${pattern} in time:\n${this.output}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, deadline - Date.now()))
        this.#onLine = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Sends a signal that does not end the process, such as SIGSTOP. */
  signal (signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends the process and waits for its end. */
  async stop (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#over) return
    this.#child.kill(signal)
    const timer = setTimeout(() => { this.#child.kill('SIGKILL') }, STOP_DEADLINE_MS)
    await this.#exited
    clearTimeout(timer)
  }
}
