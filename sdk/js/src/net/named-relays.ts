/**
 * This module keeps libp2p from using relays that the user did not name.
 *
 * The circuit transport asks every node that announces the relay protocol for a reservation, and
 * accepts circuits that any connected node forwards. Without this module any member of the room
 * could become a relay of this node.
 *
 * It also proves this node's token before each reservation and renewal, which libp2p requests by
 * itself at times that nothing else learns of.
 */

import { RELAY_V2_STOP_CODEC, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { isRelayed, isUsable } from './connections.js'
import type { Access } from './access.js'
import type { CircuitRelayTransportComponents } from '@libp2p/circuit-relay-v2'
import type { PeerId, Transport, TypedEventTarget } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'

/** The part of the circuit transport's reservation store that this package uses. */
export interface Reservations extends TypedEventTarget<{
  'relay:removed': CustomEvent<{ relay: PeerId }>
  'relay:created-reservation': CustomEvent<{ relay: PeerId }>
}> {
  hasReservation: (peer: PeerId) => boolean
  addRelay: (peer: PeerId, type: 'discovered') => Promise<unknown>
}

/** Whether a peer id belongs to a relay that the user named. */
export type IsNamed = (id: string) => boolean

/** Creates the circuit transport and its reservation store, restricted to named relays. */
export function namedRelays (
  components: CircuitRelayTransportComponents, isNamed: IsNamed, access: Access
): { transport: Transport, reservations: Reservations } {
  const registrar = guarded(components.registrar, isNamed)
  const transport = circuitRelayTransport()(new Proxy(components, {
    get: (target, property) => property === 'registrar' ? registrar : Reflect.get(target, property) as unknown
  }))
  const { reservationStore } = transport as unknown as { reservationStore: Reservations }
  const addRelay = reservationStore.addRelay.bind(reservationStore)
  reservationStore.addRelay = async (peer, type) => {
    if (!isNamed(peer.toString())) throw new Error(`${peer} is no relay of this node`)
    const connections = components.connectionManager.getConnections(peer)
    const direct = connections.find((connection) => isUsable(connection) && !isRelayed(connection))
    if (direct !== undefined) await access.prove(direct)
    return await addRelay(peer, type)
  }
  return { transport, reservations: reservationStore }
}

function guarded (registrar: Registrar, isNamed: IsNamed): Registrar {
  const handle: Registrar['handle'] = async (protocol, handler, options) => {
    if (protocol !== RELAY_V2_STOP_CODEC) return await registrar.handle(protocol, handler, options)
    await registrar.handle(protocol, async (stream, connection) => {
      if (isNamed(connection.remotePeer.toString())) return await handler(stream, connection)
      stream.abort(new Error('only relays of this node may hand on circuits'))
    }, options)
  }
  return new Proxy(registrar, {
    get: (target, property) => {
      if (property === 'handle') return handle
      const value: unknown = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}
