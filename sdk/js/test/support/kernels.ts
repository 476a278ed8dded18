/** `Kernels` holds the kernels of a test, which all stop at its end. */

import { NodeKernel } from '../../src/peercompute/index.js'
import { until } from './until.js'
import type { KernelOptions } from '../../src/peercompute/index.js'

export class Kernels {
  readonly #kernels: NodeKernel[] = []

  make (options: KernelOptions): NodeKernel {
    const kernel = new NodeKernel({ discoveryTopics: [], ...options })
    this.#kernels.push(kernel)
    return kernel
  }

  async start (options: KernelOptions): Promise<NodeKernel> {
    const kernel = this.make(options)
    await kernel.initialize()
    await kernel.start()
    return kernel
  }

  async stop (): Promise<void> {
    await Promise.all(this.#kernels.splice(0).map(async (kernel) => { await kernel.stop() }))
  }
}

/** The peer id of a started kernel. */
export function idOf (kernel: NodeKernel): string {
  const { peerId } = kernel.getStatus().network
  if (peerId === null) throw new Error('the kernel is not started')
  return peerId
}

/** Waits until all kernels list each other as connected. */
export async function allMeet (kernels: NodeKernel[]): Promise<void> {
  await until('the kernels to meet', () => kernels.every((kernel) => {
    const seen = kernel.getNetworkManager().getConnectedPeers().filter(({ via }) => via === 'connection')
    return kernels.every((other) => other === kernel || seen.some(({ peerId }) => peerId === idOf(other)))
  }))
}
