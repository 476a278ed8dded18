/** `peerwork/identity` exports identities, tickets and secrets, without the code of a node. */

export { Identity } from '../identity.js'
export { PeerworkError } from '../errors.js'
export type { ErrorCode, Side } from '../errors.js'
export { NetworkSecret } from '../network/secret.js'
export { parseTicket } from '../network/ticket.js'
export type { NetworkFacts, Ticket, Token } from '../network/ticket.js'
