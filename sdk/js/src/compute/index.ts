/**
 * `peerwork/compute` exports the types of `node.compute`, and the canonical JSON by which results
 * are compared.
 */

export { canonicalJson } from './canonical-json.js'
export type { Compute, OfferOptions } from './compute.js'
export type { PeerReport, RunOptions, RunResult } from './run.js'
