/**
 * `peerwork/peercompute` is for programs that were written for PeerCompute: `NodeKernel` and its
 * managers, on top of a `PeerworkNode`. See `docs/peercompute.md`.
 */

export { NodeKernel, createNode } from './kernel.js'
export type { KernelStatus } from './kernel.js'
export { DEFAULT_CONFIG } from './options.js'
export type { ClockPolicy, KernelConfig, KernelOptions } from './options.js'
export { ComputeManager } from './compute-manager.js'
export type {
  ComputeCapabilities, ComputeSettings, ComputeStats, ComputeTask, TaskFunction
} from './compute-manager.js'
export type {
  ConnectedPeer, MessageHandler, NetworkHealth, NetworkManager, NetworkStats
} from './network-manager.js'
export type { ConnectionInfo, ConnectionView, PeerIdView } from './connection-view.js'
export type { DiscoveredPeer } from './discovery.js'
export { DEFAULT_SCHEDULER_PROFILE } from './profile.js'
export type { SchedulerProfile } from './profile.js'
export type { EventOptions, Provider, ScheduledHandler } from './scheduler.js'
export type {
  CommandMessage, EventEntry, EventMessage, Header, ProviderEntry, SnapshotMessage
} from './messages.js'
export type { ReliabilityStats } from './reliable.js'
export type { StateListener, StateManager, StateSnapshot, StateStats } from './state-manager.js'
export type { DataState, Delta } from './data-state.js'

/** The version of PeerCompute's interface that this module follows. */
export const VERSION = '0.0.1'
