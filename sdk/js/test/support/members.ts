/** `Members` holds the nodes of a test, which all leave at its end. */

import { PeerworkNode } from '../../src/index.js'
import { until } from './until.js'
import type { JoinOptions, Peer } from '../../src/index.js'

export class Members {
  readonly #nodes: PeerworkNode[] = []

  async join (options: JoinOptions): Promise<PeerworkNode> {
    const node = await PeerworkNode.join(options)
    this.#nodes.push(node)
    return node
  }

  async leave (): Promise<void> {
    await Promise.all(this.#nodes.splice(0).map(async (node) => { await node.leave() }))
  }
}

/** Waits until a node lists a peer, with the given kind of connection if there is one. */
export async function sees (node: PeerworkNode, id: string, connection?: Peer['connection']): Promise<Peer> {
  return await until(`${node.own.name} to see ${id} ${connection ?? ''}`, () => {
    const peer = node.peers.find((one) => one.id === id)
    return connection === undefined || peer?.connection === connection ? peer : undefined
  })
}

/** Waits until all nodes list each other. */
export async function allSee (nodes: PeerworkNode[], connection?: Peer['connection']): Promise<void> {
  await Promise.all(nodes.flatMap((node) => nodes.filter((other) => other !== node)
    .map(async (other) => await sees(node, other.peerId, connection))))
}
