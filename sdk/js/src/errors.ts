/**
 * `PeerworkError` is the only error type of this package. Each error tells the failed action, the
 * side at fault, and whether a retry can help.
 */

/**
 * The side of the network that failed.
 *
 * - `caller`: the arguments or the order of calls; change the code
 * - `us`: this node, for example because it has left or is full
 * - `relay`: the relays named in `join`
 * - `peer`: the other member of the room
 * - `edge`: the node that serves the app to the network
 * - `app`: the app behind an edge
 */
export type Side = 'caller' | 'us' | 'relay' | 'peer' | 'edge' | 'app'

/**
 * The kind of failure; stable, so that programs can test it. The message is for people and may
 * change.
 */
export type ErrorCode =
  | 'invalid-argument'
  | 'too-large'
  | 'left'
  | 'offline'
  | 'timeout'
  | 'relay-unreachable'
  | 'relay-refused'
  | 'relay-unfit'
  | 'not-a-member'
  | 'ticket-refused'
  | 'peer-unreachable'
  | 'peer-busy'
  | 'not-supported'
  | 'refused'
  | 'bad-answer'
  | 'cut-off'
  | 'state-full'
  | 'storage-failed'
  | 'edge-unknown'
  | 'edge-unreachable'
  | 'edge-busy'
  | 'edge-refused'
  | 'key-missing'
  | 'key-invalid'
  | 'port-not-allowed'
  | 'app-unreachable'
  | 'app-timeout'
  | 'too-few-peers'
  | 'no-majority'
  | 'task-failed'

const SIDES: Record<ErrorCode, Side> = {
  'invalid-argument': 'caller',
  'too-large': 'caller',
  left: 'caller',
  offline: 'us',
  timeout: 'peer',
  'relay-unreachable': 'relay',
  'relay-refused': 'relay',
  'relay-unfit': 'relay',
  'not-a-member': 'caller',
  'ticket-refused': 'relay',
  'peer-unreachable': 'peer',
  'peer-busy': 'peer',
  'not-supported': 'peer',
  refused: 'peer',
  'bad-answer': 'peer',
  'cut-off': 'peer',
  'state-full': 'us',
  'storage-failed': 'us',
  'edge-unknown': 'edge',
  'edge-unreachable': 'edge',
  'edge-busy': 'edge',
  'edge-refused': 'edge',
  'key-missing': 'caller',
  'key-invalid': 'caller',
  'port-not-allowed': 'edge',
  'app-unreachable': 'app',
  'app-timeout': 'app',
  'too-few-peers': 'peer',
  'no-majority': 'peer',
  'task-failed': 'caller'
}

const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'offline', 'timeout', 'relay-unreachable', 'peer-unreachable', 'peer-busy', 'cut-off',
  'edge-unknown', 'edge-unreachable', 'edge-busy', 'app-unreachable', 'app-timeout',
  'too-few-peers', 'no-majority', 'storage-failed'
])

/** Additional facts of a {@link PeerworkError}. */
export interface ErrorFacts {
  /** The error that caused this error. */
  cause?: unknown
  /** The side that failed, where it differs from the usual side of the code. */
  side?: Side
  /** Whether a retry can help, where it differs from the usual answer of the code. */
  retryable?: boolean
}

/**
 * A failure of this package. Only an aborted `AbortSignal` is not reported as a `PeerworkError`:
 * the signal's own reason is thrown, as `fetch` does.
 */
export class PeerworkError extends Error {
  override readonly name: string = 'PeerworkError'
  /** The kind of failure. */
  readonly code: ErrorCode
  /** The side that failed. */
  readonly side: Side
  /** Whether the same call can succeed later. */
  readonly retryable: boolean

  constructor (code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    this.side = facts.side ?? SIDES[code]
    this.retryable = facts.retryable ?? RETRYABLE.has(code)
  }
}

/** Whether a thrown value is a failure of this kind. */
export function hasCode (thrown: unknown, code: ErrorCode): thrown is PeerworkError {
  return thrown instanceof PeerworkError && thrown.code === code
}

/** The message of any thrown value. */
export function messageOf (thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return thrown.errors.map(messageOf).join('; ')
  }
  // Chromium's error for a full quota has a name and no message.
  if (thrown instanceof Error) return thrown.message === '' ? thrown.name : thrown.message
  // A WebSocket that cannot connect throws an event; in browsers the event holds no further reason.
  const { message, type } = Object(thrown) as { message?: unknown, type?: unknown }
  if (typeof message === 'string' && message !== '') return message
  return typeof type === 'string' ? `the connection failed (${type})` : String(thrown)
}

/** Any thrown value as an error. */
export function asError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown))
}
