/** This module checks the options of `NodeKernel`. */

import { platform } from '#platform'
import { PeerworkError } from '../errors.js'
import { JOIN_NAMES, checkOptionNames } from '../option-names.js'
import { JOIN_OPTIONS } from '../options.js'
import { DISCOVERY_TOPIC } from './discovery.js'
import { roomName } from './room-name.js'
import type { OfferOptions } from '../compute/compute.js'
import type { JoinOptions } from '../options.js'
import type { SchedulerProfile } from './profile.js'

/** The clock of the scheduler. */
export interface ClockPolicy {
  /** `independent`: the scheduler has its own timer. `kernel`: the kernel's clock drives it. */
  mode: 'independent' | 'kernel'
  /** The rate of the kernel's clock, 0.01 to 100. */
  tickHz: number
  /** Settings of the scheduler, applied at the start. */
  networkProfile: Partial<SchedulerProfile> | null
}

/**
 * The options of a kernel: those of PeerCompute, and all options of `PeerworkNode.join` but `relays`
 * and `room`.
 */
export interface KernelOptions extends Omit<JoinOptions, 'relays' | 'room' | 'signal'> {
  /** A name that the status repeats; all values give the same network. */
  topology?: string
  /**
   * The relays: multiaddrs that end with `/p2p/<id>`, and URLs, at most 8. In a page without an
   * entry `relay-config.json` is looked for beside the page and at the root of its server.
   */
  bootstrapPeers?: ReadonlyArray<string | { toString: () => string }> | null
  /** Kernels find each other when both are equal; default `default-game` and `default-room`. */
  gameId?: string
  roomId?: string
  /** The topic of messages, and the name of the shared state; default `peercompute-state`. */
  stateTopic?: string
  /** The topic of pubsub peer discovery; default `peercompute._peer-discovery._p2p._pubsub`. */
  discoveryTopic?: string
  /** Several topics of pubsub peer discovery, at most 8; with `[]` the kernel takes no part. */
  discoveryTopics?: string[]
  clockPolicy?: Partial<ClockPolicy> | undefined
  /** The number of own threads for tasks; default: the number of processors. */
  maxWorkers?: number
  /** With `false` tasks run in the thread of the program itself. */
  enableWorkers?: boolean
  /** Offers to compute for other peers from the start on; default: no. */
  offerCompute?: boolean | OfferOptions
  /** Sends the deltas of tasks in each snapshot. */
  enableWarmDeltaProvider?: boolean
  deltaNamespace?: string
  /** The name of the database that stores the state of a page. */
  docName?: string
  /**
   * Whether a page stores the state, default true. A program in Node.js stores it only with the
   * option `persist`, which names the place in pages too.
   */
  enablePersistence?: boolean
  /** With both of the following the state is not shared at all. */
  disableStateNetworkProvider?: boolean
  disableStateBroadcast?: boolean
  /** With `disableStateNetworkProvider` only these namespaces are shared. */
  stateBroadcastNamespaces?: string[]
  /** Taken and ignored. */
  storageMode?: string
  enableWebGPU?: boolean
  enableGPUHub?: boolean
  enablePhysics?: boolean
  enableInput?: boolean
  gpuHubFrameBudgetMs?: number
}

/** The options with their defaults. */
export interface KernelConfig extends KernelOptions {
  topology: string
  bootstrapPeers: string[]
  gameId: string
  roomId: string
  stateTopic: string
  discoveryTopics: string[]
  deltaNamespace: string
  docName: string
  enablePersistence: boolean
  clockPolicy: ClockPolicy
}

/** The default options. */
export const DEFAULT_CONFIG = {
  topology: 'distributed',
  storageMode: 'local',
  enableWebGPU: false,
  enablePhysics: false,
  enableInput: false,
  bootstrapPeers: [] as string[],
  clockPolicy: { mode: 'independent', tickHz: 30, networkProfile: null } as ClockPolicy
}

const TICK_HZ_MIN = 0.01
const TICK_HZ_MAX = 100
const OWN_OPTIONS: ReadonlyArray<Exclude<keyof KernelOptions, keyof JoinOptions>> = [
  'topology', 'bootstrapPeers', 'gameId', 'roomId', 'stateTopic', 'discoveryTopic', 'discoveryTopics', 'clockPolicy', 'maxWorkers',
  'enableWorkers', 'offerCompute', 'enableWarmDeltaProvider', 'deltaNamespace', 'docName', 'enablePersistence',
  'disableStateNetworkProvider', 'disableStateBroadcast', 'stateBroadcastNamespaces', 'storageMode', 'enableWebGPU', 'enableGPUHub',
  'enablePhysics', 'enableInput', 'gpuHubFrameBudgetMs'
]
const KERNEL_OPTIONS: readonly string[] = [
  ...OWN_OPTIONS, ...JOIN_OPTIONS.filter((name) => !['relays', 'room', 'signal'].includes(name))
]
/** Names that users give to options of a kernel, and the names that these options have. */
const KERNEL_NAMES: Readonly<Record<string, string>> = {
  ...JOIN_NAMES,
  relays: 'bootstrapPeers',
  bootstrap: 'bootstrapPeers',
  room: 'roomId',
  roomName: 'roomId',
  game: 'gameId'
}

/**
 * Checks the options that do not belong to `PeerworkNode.join`.
 *
 * @throws PeerworkError `invalid-argument`.
 */
export function checkConfig (options: KernelOptions): { config: KernelConfig, room: string } {
  checkOptionNames(options, KERNEL_OPTIONS, KERNEL_NAMES)
  const gameId = options.gameId || 'default-game'
  const roomId = options.roomId || 'default-room'
  const room = roomName(gameId, roomId)
  const peers = options.bootstrapPeers ?? []
  if (!Array.isArray(peers)) throw new PeerworkError('invalid-argument', 'bootstrapPeers is a list of addresses')
  const config: KernelConfig = {
    ...options,
    topology: options.topology || DEFAULT_CONFIG.topology,
    bootstrapPeers: peers.filter((peer) => peer !== null && peer !== undefined && peer !== '').map(String),
    gameId,
    roomId,
    stateTopic: options.stateTopic || 'peercompute-state',
    discoveryTopics: options.discoveryTopics ?? [options.discoveryTopic ?? DISCOVERY_TOPIC],
    deltaNamespace: options.deltaNamespace || 'deltas',
    docName: options.docName || `peercompute-${gameId}-${roomId}`,
    enablePersistence: options.enablePersistence !== false,
    clockPolicy: checkClock(options.clockPolicy ?? {})
  }
  return { config, room }
}

/** Completes a clock policy; what is missing or malformed is taken from `base`. */
export function checkClock (policy: Partial<ClockPolicy>, base: ClockPolicy = DEFAULT_CONFIG.clockPolicy): ClockPolicy {
  const { mode = base.mode, tickHz, networkProfile = base.networkProfile } = policy
  const isRate = typeof tickHz === 'number' && Number.isFinite(tickHz) && tickHz > 0
  return {
    mode: mode === 'kernel' ? 'kernel' : 'independent',
    tickHz: isRate ? Math.min(TICK_HZ_MAX, Math.max(TICK_HZ_MIN, tickHz)) : base.tickHz,
    networkProfile
  }
}

/** Whether keys of a namespace are sent to other peers; `''` stands for keys without one. */
export function sharesNamespace (config: KernelConfig, namespace: string): boolean {
  if (config.disableStateNetworkProvider !== true) return true
  if (config.disableStateBroadcast === true) return false
  const listed = config.stateBroadcastNamespaces
  return namespace === '' || !Array.isArray(listed) || listed.includes(namespace)
}

/** The storage of a kernel without the option `persist`: pages store the state unless told otherwise. */
export function storageOf (config: KernelConfig): { persist: string } | Record<never, never> {
  const given = (config as { persist?: unknown }).persist !== undefined
  return given || !config.enablePersistence || platform.name !== 'browser' ? {} : { persist: config.docName }
}
