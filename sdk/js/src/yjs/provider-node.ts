/** This module names the part of `PeerworkNode` that a provider uses. */

import type { PeerworkNode } from '../node.js'

export type ProviderNode = Pick<PeerworkNode,
  'peerId' | 'peers' | 'relays' | 'publish' | 'subscribe' | 'openStream' | 'handleStream' | 'on' | 'onLeave'>
