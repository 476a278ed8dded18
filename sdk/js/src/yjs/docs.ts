/**
 * `Docs` holds the open Yjs documents of a node by name, and answers peers that compare one of them.
 * All documents share one stream protocol.
 */

import { PeerworkError } from '../errors.js'
import { YJS_ANSWERS_MAX } from '../limits.js'
import { Turns } from '../turns.js'
import { serveDoc } from './exchange.js'
import { Guard } from './guard.js'
import { Replica } from './replica.js'
import type { ProviderNode } from './provider-node.js'
import type { PeerStream } from '../stream/peer-stream.js'

export const PROTOCOL = 'yjs/1'
/** Comparisons that one peer may ask for. */
const ANSWERS = { burst: 20, perSecond: 1 }

/** Returns the document that peers compare; `undefined` while its provider is disconnected. */
type FindReplica = () => Replica | undefined

/** The key of the comparisons of a document with a peer. */
export function turnOf (peer: string, name: string): string {
  return `${peer} ${name}`
}

const docsOf = new WeakMap<ProviderNode, Docs>()

export class Docs {
  readonly #replicas = new Map<string, FindReplica>()
  readonly #guard = new Guard(ANSWERS)
  readonly #self: string
  /** The comparisons by peer and document. */
  readonly turns = new Turns()
  #answers = 0
  /** Resolves when the node accepts streams of the protocol. */
  readonly ready: Promise<unknown>

  private constructor (node: ProviderNode) {
    this.#self = node.peerId
    this.ready = node.handleStream(PROTOCOL, (stream) => { void this.#serve(stream) })
    this.ready.catch(() => {})
  }

  /** The documents of a node. */
  static of (node: ProviderNode): Docs {
    const docs = docsOf.get(node) ?? new Docs(node)
    docsOf.set(node, docs)
    return docs
  }

  /**
   * Opens a document.
   *
   * @throws PeerworkError `invalid-argument` when a document of that name is open.
   */
  open (name: string, replica: FindReplica): void {
    if (this.#replicas.has(name)) {
      throw new PeerworkError('invalid-argument', `this node has a provider for the document "${name}" already`)
    }
    this.#replicas.set(name, replica)
  }

  close (name: string): void {
    this.#replicas.delete(name)
  }

  async #serve (stream: PeerStream): Promise<void> {
    const { peer } = stream
    if (this.#guard.isMuted(peer)) return stream.abort(new Error('the peer sent malformed data'))
    const isBusy = this.#answers >= YJS_ANSWERS_MAX || !this.#guard.allows(peer)
    this.#answers += 1
    let hasBegun = false
    try {
      const serving = serveDoc(stream, (name) => {
        const replica = isBusy ? 'busy' : this.#replicas.get(name)?.()
        // The document is looked up again at the end of the comparison.
        if (hasBegun || !(replica instanceof Replica)) return replica
        hasBegun = this.turns.admits(turnOf(peer, name), this.#self, peer, serving)
        return hasBegun ? replica : 'busy'
      })
      await serving
    } catch (error) {
      if (error instanceof PeerworkError && error.code === 'bad-answer') this.#guard.mute(peer)
    } finally {
      this.#answers -= 1
    }
  }
}
