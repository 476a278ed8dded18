/**
 * This package connects browsers and Node.js programs to a Peerwork network.
 *
 * ```ts
 * const node = await PeerworkNode.join({ relays: ['https://relay.example'], room: 'garden' })
 * node.subscribe('chat', ({ from, data }) => console.log(from, data))
 * await node.publish('chat', 'hello')
 * ```
 */

export { PeerworkNode } from './node.js'
export type { CallOptions, TopicMessage } from './node.js'
export { Identity } from './identity.js'
export { PeerworkError } from './errors.js'
export type { ErrorCode, Side } from './errors.js'
export type { JoinOptions } from './options.js'
export type { IceServer } from './ice.js'
export { redeemTicket } from './network/redeem.js'
export type { NetworkAccess, RedeemOptions } from './network/redeem.js'
export { NetworkSecret } from './network/secret.js'
export { parseTicket } from './network/ticket.js'
export type { NetworkFacts, Ticket, Token } from './network/ticket.js'
export type { RefusedPeer } from './net/membership.js'
export type { NodeEvents, UnsavedState } from './room/room.js'
export type { Peer } from './room/peer.js'
export type { RelayStatus } from './net/relay-link.js'
export type { Data } from './room/payload.js'
export type { MessageHandler, PeerMessage } from './room/messages.js'
export type { PeerStream } from './stream/peer-stream.js'
export { SharedState } from './state/shared-state.js'
export type { StateChange, StateOptions } from './state/shared-state.js'
export type { ResolveRecords, StateRecord, StateStorage } from './state/storage.js'
export type { FetchInit } from './fetch/request.js'
export type { Json } from './bytes.js'
