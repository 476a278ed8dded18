/**
 * `Membership` decides which connections take part in a network with a secret.
 *
 * Each new connection is held back (see `net/gate.ts`) until both nodes have proven a secret to each
 * other on streams of `/peerwork/network/1`. So identify, gossipsub and reservations begin after the
 * proof by themselves. A connection without the proof is closed, with a reason in words.
 *
 * The service must be created before all other services, because it must be the first that learns of
 * a connection.
 */

import { PeerworkError, asError } from '../errors.js'
import { orAborted } from '../time.js'
import { OTHER_SECRET, answer, challenge, refusal } from './challenge.js'
import { Gate } from './gate.js'
import { NETWORK_PROTOCOL } from './proof.js'
import type { Standing } from './challenge.js'
import type {
  Connection, IdentifyResult, Libp2pEvents, Stream, TypedEventTarget
} from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'

/** The time in which both nodes must have proven a secret. */
export const PROOF_DEADLINE_MS = 10_000
/** The time that a node without a secret waits for identify before it uses a connection. */
const IDENTIFY_DEADLINE_MS = 10_000
/** The time that a connection has to close, before it is aborted. */
const CLOSE_DEADLINE_MS = 2_000
/** Challenges that are answered on one connection. A node needs one answer. */
const ANSWERS_MAX = 4

/** A node that was refused, or that refused this node. */
export interface RefusedPeer {
  /** The peer id of the other node. */
  id: string
  /** The reason, in words for a person. */
  reason: string
}

/**
 * The parts of libp2p that the service uses.
 *
 * @internal
 */
export interface MembershipComponents {
  events: TypedEventTarget<Libp2pEvents>
  registrar: Registrar
}

/** @internal */
export class Membership {
  readonly #standing: Standing
  readonly #registrar: Registrar
  readonly #gates = new WeakMap<Connection, Gate>()
  /** Called when a connection begins to take part. */
  onOpened: () => void = () => {}
  /** Called when this node refused another node, or was refused by it. */
  onRefused: (peer: RefusedPeer) => void = () => {}

  constructor (components: MembershipComponents, standing: Standing) {
    this.#standing = standing
    this.#registrar = components.registrar
    components.events.addEventListener('connection:open', ({ detail }) => { this.#begin(detail) })
    components.events.addEventListener('peer:identify', ({ detail }) => { this.#onIdentify(detail) })
  }

  /** Called by libp2p before it listens. */
  async beforeStart (): Promise<void> {
    await this.#registrar.handle(NETWORK_PROTOCOL, (stream, connection) => {
      void this.#answer(stream, connection)
    }, { runOnLimitedConnection: true, maxInboundStreams: ANSWERS_MAX })
  }

  /** Has no work; libp2p calls {@link Membership.beforeStart} only of services that have this method. */
  start (): void {}

  /** Ends the service. The connections end with libp2p. */
  async stop (): Promise<void> {
    await this.#registrar.unhandle(NETWORK_PROTOCOL)
  }

  /**
   * Waits until a connection takes part in the network. A node without a secret waits until the
   * other node has answered to identify, because a node with a secret refuses it instead.
   *
   * @throws PeerworkError `not-a-member` when this node or the other node refused the connection,
   * `timeout`, `cut-off` when the connection was closed; the signal's reason.
   */
  async passed (connection: Connection, signal: AbortSignal): Promise<void> {
    const gate = this.#gates.get(connection)
    if (gate !== undefined) await orAborted(gate.passed, signal)
  }

  #begin (connection: Connection): void {
    const gate = new Gate(connection)
    this.#gates.set(connection, gate)
    const isMember = this.#standing.secrets.length > 0
    const timer = setTimeout(() => {
      if (isMember) this.#refuse(connection, gate, late())
      else this.#settle(connection, gate, 'accepted')
    }, isMember ? PROOF_DEADLINE_MS : IDENTIFY_DEADLINE_MS)
    gate.passed.catch(() => {}).finally(() => { clearTimeout(timer) })
    connection.addEventListener('close', () => {
      // A node that was refused may close the connection before this node's challenge has ended.
      if (!gate.challenging && !gate.over) gate.refuse(gate.refusedByOther ? this.#byOther() : lost())
    }, { once: true })
    if (isMember) void this.#challenge(connection, gate)
    else gate.verified = true
  }

  #onIdentify ({ connection }: IdentifyResult): void {
    const gate = this.#gates.get(connection)
    if (gate !== undefined && this.#standing.secrets.length === 0) this.#settle(connection, gate, 'accepted')
  }

  async #challenge (connection: Connection, gate: Gate): Promise<void> {
    const signal = AbortSignal.timeout(PROOF_DEADLINE_MS)
    gate.challenging = true
    try {
      const open = gate.close()
      const stream = await open(NETWORK_PROTOCOL, { signal, runOnLimitedConnection: true })
      const challenges = await challenge(stream, connection.remotePeer, this.#standing, signal)
      gate.challenging = false
      gate.verified = true
      this.#settle(connection, gate, challenges ? undefined : 'accepted')
    } catch (error) {
      gate.challenging = false
      this.#refuse(connection, gate, this.#refusalFor(error, gate))
    }
  }

  async #answer (stream: Stream, connection: Connection): Promise<void> {
    const gate = this.#gates.get(connection)
    if (gate === undefined || gate.answering || gate.answers >= ANSWERS_MAX) {
      stream.abort(new Error('one challenge is answered at a time, and few on one connection'))
      return
    }
    gate.answering = true
    gate.answers += 1
    try {
      const signal = AbortSignal.timeout(PROOF_DEADLINE_MS)
      const accepted = await answer(stream, connection.remotePeer, this.#standing, signal)
      this.#settle(connection, gate, accepted ? 'accepted' : 'refused')
    } catch (error) {
      // A stream that broke is no verdict: the connection breaks too, or the deadline ends it.
      stream.abort(asError(error))
    } finally {
      gate.answering = false
    }
  }

  /** Takes the other node's verdict, if there is one, and opens or closes the gate if it can. */
  #settle (connection: Connection, gate: Gate, verdict: 'accepted' | 'refused' | undefined): void {
    if (verdict === 'accepted') gate.accepted = true
    if (verdict === 'refused') gate.refusedByOther = true
    if (gate.over) return
    if (gate.refusedByOther) {
      // The other node gets this node's verdict too, before the connection is closed.
      if (!gate.challenging) this.#refuse(connection, gate, this.#byOther())
    } else if (gate.verified && gate.accepted) {
      gate.open()
      this.onOpened()
    }
  }

  #byOther (): PeerworkError {
    return refusal(this.#standing.secrets.length === 0
      ? 'the node\'s network has a secret that this node does not know: join with a ticket, or with the secret and the id of the network'
      : OTHER_SECRET)
  }

  #refuse (connection: Connection, gate: Gate, error: PeerworkError): void {
    if (gate.over) return
    gate.refuse(error)
    if (error.code !== 'cut-off') this.onRefused({ id: connection.remotePeer.toString(), reason: error.message })
    connection.close({ signal: AbortSignal.timeout(CLOSE_DEADLINE_MS) })
      .catch(() => { connection.abort(error) })
  }

  /** The refusal for an error of this node's challenge. */
  #refusalFor (error: unknown, gate: Gate): PeerworkError {
    if (error instanceof PeerworkError && error.code === 'not-a-member') return error
    if (error instanceof PeerworkError && error.code === 'bad-answer') return refusal(error.message)
    if (gate.refusedByOther) return this.#byOther()
    const { name } = Object(error) as { name?: unknown }
    if (name === 'UnsupportedProtocolError') {
      return refusal(`the node cannot prove the network's secret: it does not speak ${NETWORK_PROTOCOL}`)
    }
    return name === 'TimeoutError' ? late() : lost()
  }
}

/** The error for a node that may prove the secret at the next attempt. */
function late (): PeerworkError {
  return new PeerworkError('timeout', 'the node did not prove the network\'s secret in time')
}

function lost (): PeerworkError {
  return new PeerworkError('cut-off', 'the connection closed before the node took part in the network')
}
