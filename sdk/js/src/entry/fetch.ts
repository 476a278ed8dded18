/** `peerwork/fetch` exports a node that only calls apps behind edges. */

export { EdgeClient } from '../fetch/client.js'
export type { EdgeClientOptions } from '../fetch/client.js'
export type { FetchInit } from '../fetch/request.js'
export { Identity } from '../identity.js'
export { PeerworkError } from '../errors.js'
export type { ErrorCode, Side } from '../errors.js'
export type { RelayStatus } from '../net/relay-link.js'
