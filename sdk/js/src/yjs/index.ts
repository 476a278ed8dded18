/**
 * This module connects Yjs documents to the room of a node; it needs the packages `yjs` and
 * `y-protocols`.
 *
 * ```ts
 * const doc = new Y.Doc()
 * const provider = new PeerworkProvider(node, doc, { name: 'notes' })
 * ```
 */

export { PeerworkProvider } from './provider.js'
export type { ProviderEvents, ProviderOptions } from './provider.js'
export type { ProviderNode } from './provider-node.js'
