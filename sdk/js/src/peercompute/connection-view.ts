/**
 * `ConnectionView` shows the connections of a node in the form that programs know from libp2p: a
 * list with `remotePeer`, and events when a connection opens or closes. It is not libp2p itself.
 */

import type { PeerworkNode } from '../node.js'

/** The id of a node, which `toString` tells. */
export interface PeerIdView {
  toString: () => string
}

/** An open connection to a relay or to a member of the room. */
export interface ConnectionInfo {
  readonly remotePeer: PeerIdView
  readonly status: 'open'
  /** Whether the connection leads to a relay. */
  readonly isRelay: boolean
  /** Whether the connection runs through a relay. */
  readonly isRelayed: boolean
}

/**
 * The events `connection:open` and `connection:close` have a connection as `detail`, and
 * `peer:connect` and `peer:disconnect` the id of a peer.
 */
export class ConnectionView extends EventTarget {
  #connections = new Map<string, ConnectionInfo>()
  #peerId: string | null = null

  /** The id of this node; `null` while it is not started. */
  get peerId (): PeerIdView | null {
    return this.#peerId === null ? null : idView(this.#peerId)
  }

  /** The open connections, to one peer or to all. */
  getConnections (peerId?: PeerIdView | string): ConnectionInfo[] {
    if (peerId === undefined) return [...this.#connections.values()]
    const found = this.#connections.get(peerId.toString())
    return found === undefined ? [] : [found]
  }

  /** The ids of the connected relays and peers. */
  getPeers (): PeerIdView[] {
    return [...this.#connections.keys()].map(idView)
  }

  /**
   * For internal use: reads the connections of the node again.
   *
   * @internal
   */
  refresh (node: PeerworkNode | undefined): void {
    this.#peerId = node?.peerId ?? null
    const before = this.#connections
    this.#connections = new Map(node === undefined ? [] : connectionsOf(node))
    for (const [id, connection] of before) if (!this.#connections.has(id)) this.#emit('close', 'disconnect', id, connection)
    for (const [id, connection] of this.#connections) if (!before.has(id)) this.#emit('open', 'connect', id, connection)
  }

  #emit (change: 'open' | 'close', peerChange: 'connect' | 'disconnect', id: string, detail: ConnectionInfo): void {
    this.dispatchEvent(new CustomEvent(`connection:${change}`, { detail }))
    this.dispatchEvent(new CustomEvent(`peer:${peerChange}`, { detail: idView(id) }))
  }
}

function connectionsOf (node: PeerworkNode): Array<[string, ConnectionInfo]> {
  const relays = node.relays.filter(({ connected }) => connected)
    .map(({ id }): [string, ConnectionInfo] => [id, connectionInfo(id, true, false)])
  const peers = node.peers.filter(({ connection }) => connection !== 'none')
    .map(({ id, connection }): [string, ConnectionInfo] => [id, connectionInfo(id, false, connection === 'relayed')])
  return [...relays, ...peers]
}

function connectionInfo (id: string, isRelay: boolean, isRelayed: boolean): ConnectionInfo {
  return { remotePeer: idView(id), status: 'open', isRelay, isRelayed }
}

function idView (id: string): PeerIdView {
  return { toString: () => id }
}
