/** This module describes a thread that runs tasks of this program, in browsers and in Node.js. */

/** The code of a task: the source of a function, or a function of a module. */
export type TaskCode =
  | { source: string }
  | { module: string, exportName: string }

/** The message that starts a task in its thread. */
export interface ThreadCall {
  id: number
  data: unknown
}

/** The answer of a thread. */
export interface ThreadAnswer {
  id: number
  ok: boolean
  result?: unknown
  message?: string
}

export interface Thread {
  post: (call: ThreadCall) => void
  /** Whether the thread keeps the process alive, which matters in Node.js. */
  hold: (held: boolean) => void
  /** Ends the thread at once, even in an endless loop. */
  stop: () => void
}

export interface ThreadListener {
  onAnswer: (answer: ThreadAnswer) => void
  /** Called when the thread failed or ended. */
  onFailure: (message: string) => void
}

/** An expression for the function of a task, within an async function. */
export function codeExpression (code: TaskCode): string {
  if ('source' in code) return `(${code.source}\n)`
  return `(await import(${JSON.stringify(code.module)}))[${JSON.stringify(code.exportName)}]`
}

/** JavaScript that defines `answer(call)`, which resolves to an answer. */
export function threadScript (code: TaskCode): string {
  return `
const task = (async () => ${codeExpression(code)})()
task.catch(() => {})
const answer = async ({ id, data }) => {
  try {
    const run = await task
    if (typeof run !== 'function') throw new TypeError('the task is no function')
    return { id, ok: true, result: await run(data) }
  } catch (error) {
    return { id, ok: false, message: String(error?.message ?? error).slice(0, 500) }
  }
}
`
}
