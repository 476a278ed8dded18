/**
 * `Gate` holds one connection back until it takes part in the network: streams that this node opens
 * wait, and streams that the other node opens are negotiated only after that node has proven a
 * secret.
 *
 * libp2p has no interface for this. The gate replaces `newStream` of the connection, and the
 * registrar by which the connection negotiates streams of the other node. {@link Gate.close} throws
 * with a version of libp2p that keeps the registrar elsewhere.
 */

import { NETWORK_PROTOCOL } from './proof.js'
import type { PeerworkError } from '../errors.js'
import type { Connection } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'

const held = new WeakSet<Connection>()

/** Whether a connection does not take part in the network yet, or was refused. */
export function isHeld (connection: Connection): boolean {
  return held.has(connection)
}

export class Gate {
  readonly #connection: Connection
  #pass: () => void = () => {}
  #fail: (error: PeerworkError) => void = () => {}
  /** Resolves when the connection takes part, and rejects when it was refused or closed before. */
  readonly passed: Promise<void>
  /** Whether {@link Gate.passed} is settled. */
  over = false
  /** Whether the other node has proven a secret, or needs none. */
  verified = false
  /** Whether the other node has accepted this node. */
  accepted = false
  /** Whether the other node has refused this node. */
  refusedByOther = false
  /** Whether this node waits for the result of its challenge. */
  challenging = false
  /** Whether a challenge of the other node is being answered. */
  answering = false
  /** The number of challenges that were answered. */
  answers = 0

  constructor (connection: Connection) {
    this.#connection = connection
    this.passed = new Promise((resolve, reject) => { [this.#pass, this.#fail] = [resolve, reject] })
    this.passed.catch(() => {})
  }

  /**
   * Holds the connection back.
   *
   * @returns the function that opens streams all the same, for the proof.
   * @throws Error when the connection has no registrar where this class expects it.
   */
  close (): Connection['newStream'] {
    const connection = this.#connection
    held.add(connection)
    const open = connection.newStream.bind(connection)
    connection.newStream = async (protocols, options) => {
      await this.passed
      return await open(protocols, options)
    }
    const inner = connection as unknown as { components?: { registrar?: Registrar } }
    const { components } = inner
    if (components?.registrar === undefined) throw new Error('this version of libp2p keeps its registrar elsewhere')
    const registrar = this.#restricted(components.registrar)
    inner.components = new Proxy(components, {
      get: (target, property) => property === 'registrar' ? registrar : Reflect.get(target, property) as unknown
    })
    return open
  }

  /** Lets the connection take part. */
  open (): void {
    this.over = true
    held.delete(this.#connection)
    this.#pass()
  }

  /** Makes all streams that wait fail, and hides the connection until it is closed. */
  refuse (error: PeerworkError): void {
    this.over = true
    held.add(this.#connection)
    this.#fail(error)
  }

  /**
   * A registrar that knows only the protocol of the proof until the other node has proven a secret,
   * and whose handlers wait until the connection takes part.
   */
  #restricted (registrar: Registrar): Registrar {
    const getProtocols: Registrar['getProtocols'] = () => this.verified ? registrar.getProtocols() : [NETWORK_PROTOCOL]
    const getHandler: Registrar['getHandler'] = (protocol) => {
      const record = registrar.getHandler(protocol)
      if (protocol === NETWORK_PROTOCOL) return record
      return {
        ...record,
        handler: async (stream, connection) => {
          await this.passed
          await record.handler(stream, connection)
        }
      }
    }
    return new Proxy(registrar, {
      get: (target, property) => {
        if (property === 'getProtocols') return getProtocols
        if (property === 'getHandler') return getHandler
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
  }
}
