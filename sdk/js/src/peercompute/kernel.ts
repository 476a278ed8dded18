/** `NodeKernel` is the interface that programs of PeerCompute use, on top of a `PeerworkNode`. */

import { PeerworkError, messageOf } from '../errors.js'
import { Identity } from '../identity.js'
import { isObject } from '../bytes.js'
import { PeerworkNode } from '../node.js'
import { ComputeManager } from './compute-manager.js'
import { NetworkManager } from './network-manager.js'
import { checkClock, checkConfig, sharesNamespace, storageOf } from './options.js'
import { relaysOf } from './relays.js'
import { StateManager } from './state-manager.js'
import { clock } from '../time.js'
import type { Json } from '../bytes.js'
import type { ComputeTask } from './compute-manager.js'
import type { ClockPolicy, KernelConfig, KernelOptions } from './options.js'

/** The status of a kernel. */
export interface KernelStatus {
  nodeId: string | null
  isInitialized: boolean
  isStarted: boolean
  topology: string
  clock: { mode: ClockPolicy['mode'], tickHz: number, schedulerClock: 'internal' | 'external' }
  network: { peerId: string | null, peerCount: number, isConnected: boolean, connections: number }
  state: { keyCount: number, hasPersistence: boolean, hasP2PSync: boolean }
  compute: { enabled: boolean, available: boolean }
}

/** The time that `start()` waits for the first relay. */
const FIRST_RELAY_MS = 15_000
/** Answers to requests of peers that are on their way at once. */
const ANSWERS_MAX = 16

/** A member of the room of one `gameId` and `roomId`, with its state, messages and tasks. */
export class NodeKernel {
  /** The options with their defaults. */
  readonly config: KernelConfig
  readonly #room: string
  readonly #network: NetworkManager
  readonly #state: StateManager
  readonly #compute: ComputeManager
  #identity: Identity | undefined
  #node: PeerworkNode | undefined
  #nodeId: string | null = null
  #initialized = false
  #starting: { done: Promise<void>, abort: AbortController } | undefined
  #stopping: Promise<void> | undefined
  #clock: ReturnType<typeof setInterval> | undefined
  #offs: Array<() => void> = []
  #answers = 0
  #stored = false

  /** @throws PeerworkError `invalid-argument` naming the option. */
  constructor (options: KernelOptions = {}) {
    const { config, room } = checkConfig(options)
    this.config = config
    this.#room = room
    const { topology, gameId, roomId, stateTopic: topic, discoveryTopics } = config
    this.#network = new NetworkManager({
      topology,
      gameId,
      roomId,
      topic,
      discoveryTopics,
      connect: async () => { await this.start() },
      disconnect: async () => { await this.stop() }
    })
    this.#state = new StateManager({
      docName: config.docName,
      topic,
      deltaNamespace: config.deltaNamespace,
      shares: (namespace) => sharesNamespace(config, namespace),
      hasPersistence: () => this.#stored
    })
    this.#compute = new ComputeManager(config, () => this.#node?.compute)
    this.#compute.setCommitDeltaHandler((delta) => { this.#state.commitDelta(delta) })
    this.#network.addMessageHandler((peer, message) => { this.#answer(peer, message) })
    if (config.enableWarmDeltaProvider === true) this.#network.registerWarmDeltaProvider(() => this.#state.getWarmDeltas())
    this.setClockPolicy(config.clockPolicy)
  }

  /** The Peerwork node, for all that this class does not have; `undefined` while not started. */
  get node (): PeerworkNode | undefined {
    return this.#node
  }

  /** An id of this kernel object; `null` before `initialize()`. Peers know the peer id alone. */
  get nodeId (): string | null {
    return this.#nodeId
  }

  get isInitialized (): boolean {
    return this.#initialized
  }

  get isStarted (): boolean {
    return this.#node !== undefined
  }

  get stateManager (): StateManager {
    return this.#state
  }

  get networkManager (): NetworkManager {
    return this.#network
  }

  get computeManager (): ComputeManager {
    return this.#compute
  }

  /** Prepares the kernel; a second call does nothing, and `start()` calls it if need be. */
  async initialize (): Promise<void> {
    if (this.#initialized) return
    this.#initialized = true
    this.#nodeId = crypto.randomUUID()
    this.#state.setFact('nodeId', this.#nodeId)
    this.#state.setFact('topology', this.config.topology)
    this.#state.setFact('createdAt', Date.now())
  }

  /**
   * Joins the room, and waits up to 15 s (`timeoutMs`) for the first relay. A relay that does not
   * answer in that time is dialled on, and the kernel is started all the same. A started kernel stays
   * as it is.
   *
   * @throws PeerworkError `invalid-argument` (also when no relay is named or found), `not-a-member`
   * and other errors of `PeerworkNode.join` that waiting does not mend; `left` when `stop()` is
   * called meanwhile.
   */
  async start (): Promise<void> {
    if (this.#stopping !== undefined) await this.#stopping
    if (this.#node !== undefined) return
    if (this.#starting === undefined) {
      const abort = new AbortController()
      const done = this.#begin(abort.signal).finally(() => { this.#starting = undefined })
      this.#starting = { done, abort }
    }
    await this.#starting.done
  }

  /** Leaves the room and ends all threads. The state keeps its values, and `start()` joins again. */
  async stop (): Promise<void> {
    this.#stopping ??= this.#end().finally(() => { this.#stopping = undefined })
    await this.#stopping
  }

  getStatus (): KernelStatus {
    const { topology, clockPolicy: { mode, tickHz } } = this.config
    const { peerId, peerCount, isConnected, connections } = this.#network.getNetworkStats()
    const { keyCount, hasPersistence, hasP2PSync } = this.#state.getStats()
    return {
      nodeId: this.#nodeId,
      isInitialized: this.#initialized,
      isStarted: this.isStarted,
      topology,
      clock: { mode, tickHz, schedulerClock: this.#network.getSchedulerClock() },
      network: { peerId, peerCount, isConnected, connections },
      state: { keyCount, hasPersistence, hasP2PSync },
      compute: { enabled: true, available: true }
    }
  }

  getNetworkManager (): NetworkManager {
    return this.#network
  }

  getStateManager (): StateManager {
    return this.#state
  }

  getComputeManager (): ComputeManager {
    return this.#compute
  }

  /** Always `null`: this package has no GPU hub. */
  getGPUHub (): null {
    return null
  }

  /** Runs a task, see `ComputeManager.submitTask`. */
  async submitTask (task: ComputeTask): Promise<unknown> {
    return await this.#compute.submitTask(task)
  }

  /** Changes the clock of the scheduler; settings that are left out stay as they are. */
  setClockPolicy (policy: Partial<ClockPolicy> = {}): void {
    const next = checkClock(policy, this.config.clockPolicy)
    this.config.clockPolicy = next
    this.#network.setSchedulerClock(next.mode === 'kernel' ? 'external' : 'internal')
    if (next.networkProfile !== null) this.#network.configureScheduler(next.networkProfile)
    this.#runClock()
  }

  /** Makes the scheduler send what is due. */
  tick (now = clock()): void {
    this.#network.tickScheduler(now)
  }

  async #begin (signal: AbortSignal): Promise<void> {
    await this.initialize()
    const { bootstrapPeers } = this.config
    this.#identity ??= this.config.identity ?? await Identity.generate()
    const node = await this.#join(await relaysOf(bootstrapPeers, signal), this.#identity, signal)
    try {
      signal.throwIfAborted()
      this.#attach(node)
    } catch (error) {
      await this.#release(node)
      throw error
    }
    this.#runClock()
  }

  /** Joins, and goes on without a relay when none answered in time. */
  async #join (relays: string[], identity: Identity, signal: AbortSignal): Promise<PeerworkNode> {
    const options = { ...this.config, ...storageOf(this.config), relays, room: this.#room, identity, signal }
    const timeoutMs = this.config.timeoutMs ?? FIRST_RELAY_MS
    const since = clock()
    try {
      return await PeerworkNode.join({ ...options, timeoutMs })
    } catch (error) {
      // A failure before the deadline is one that waiting does not mend.
      const waited = clock() - since >= timeoutMs
      if (!(error instanceof PeerworkError) || error.code !== 'relay-unreachable' || !waited) throw error
      console.warn(`[peerwork] started without a relay, and dialling on: ${messageOf(error)}`)
      return await PeerworkNode.join({ ...options, timeoutMs: 0 })
    }
  }

  /** Begins to work on a node that has joined. */
  #attach (node: PeerworkNode): void {
    this.#node = node
    this.#network.attach(node)
    this.#attachState(node)
    const { offerCompute } = this.config
    if (offerCompute !== undefined && offerCompute !== false) node.compute.offer(offerCompute === true ? {} : offerCompute)
  }

  #attachState (node: PeerworkNode): void {
    const { stateTopic } = this.config
    if (this.config.disableStateNetworkProvider !== true || this.config.disableStateBroadcast !== true) {
      const state = node.state<Json>(stateTopic)
      this.#stored = { ...this.config, ...storageOf(this.config) }.persist !== undefined
      this.#state.attach(state)
    }
    const showPeers = (): void => { this.#state.setFact('connectedPeers', node.peers.map(({ id }) => id)) }
    this.#offs = [node.on('peer:join', showPeers), node.on('peer:leave', showPeers)]
    this.#state.setFact('status', 'active')
    this.#state.setFact('startedAt', Date.now())
    showPeers()
  }

  async #end (): Promise<void> {
    this.#starting?.abort.abort(new PeerworkError('left', 'the kernel was stopped'))
    await this.#starting?.done.catch(() => {})
    await this.#compute.destroy()
    if (this.#node !== undefined) await this.#release(this.#node)
  }

  /** Ends the work on a node, and leaves its room. */
  async #release (node: PeerworkNode): Promise<void> {
    for (const off of this.#offs.splice(0)) off()
    this.#state.detach()
    await this.#network.detach()
    this.#node = undefined
    this.#stored = false
    this.#runClock()
    this.#state.setFact('status', 'stopped')
    this.#state.setFact('connectedPeers', [])
    await node.leave()
  }

  /** Starts the kernel's own clock, or stops it. */
  #runClock (): void {
    clearInterval(this.#clock)
    const { mode, tickHz } = this.config.clockPolicy
    if (mode !== 'kernel' || this.#node === undefined) return
    this.#clock = setInterval(() => { this.tick() }, Math.round(1000 / tickHz))
  }

  /** Answers messages of the types `ping` and `state-request`. */
  #answer (peer: string, message: Json): void {
    if (!isObject(message) || this.#answers >= ANSWERS_MAX) return
    const { type, data } = message
    let answer: Json
    if (type === 'ping') {
      const originalTimestamp = (isObject(data) ? data['timestamp'] ?? null : null) as Json
      answer = { type: 'pong', data: { timestamp: Date.now(), originalTimestamp } }
    } else if (type === 'state-request') {
      answer = { type: 'state-response', data: this.#state.snapshot() as unknown as Json }
    } else {
      return
    }
    this.#answers += 1
    this.#network.sendToPeer(peer, answer).catch(() => {}).finally(() => { this.#answers -= 1 })
  }
}

/** Makes and initializes a kernel. */
export async function createNode (options: KernelOptions = {}): Promise<NodeKernel> {
  const kernel = new NodeKernel(options)
  await kernel.initialize()
  return kernel
}
