/**
 * This module stops libp2p and clears the timers that libp2p leaves running, for up to a second each:
 * the heartbeat of gossipsub, and the pauses before address and identify updates. They would keep a
 * process of Node.js running.
 *
 * libp2p has no interface for these timers. With a version that keeps them elsewhere they run out by
 * themselves.
 */

import type { Libp2p } from '@libp2p/interface'
import type { AddressManager } from '@libp2p/interface-internal'

/** A function of libp2p that runs its work after a pause. */
interface Paused {
  stop?: () => void
}

/** Stops libp2p; a peer that does not close its connection delays this by half a second. */
export async function stopQuietly (libp2p: Libp2p, addresses: AddressManager | undefined): Promise<void> {
  const { pubsub, identifyPush } = libp2p.services as unknown as {
    pubsub?: { status?: { heartbeatTimeout?: ReturnType<typeof setTimeout> } }
    identifyPush?: { _push?: Paused }
  }
  const { status } = pubsub ?? {}
  await libp2p.stop()
  clearTimeout(status?.heartbeatTimeout)
  identifyPush?._push?.stop?.()
  const { _updatePeerStoreAddresses: update } = (addresses ?? {}) as { _updatePeerStoreAddresses?: Paused }
  update?.stop?.()
}
