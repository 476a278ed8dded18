/** `RustEdge` is an edge of the Rust program that holds a reservation at a relay. */

import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Process } from './process.js'

export interface RustEdgeOptions {
  binary: string
  /** Multiaddr of the relay. */
  relay: string
  /** The ports that the edge allows. */
  ports: number[]
  /** Whether callers need a key. */
  auth: boolean
  networkId?: number
}

export class RustEdge {
  readonly #binary: string
  readonly #directory: string
  readonly #process: Process
  readonly id: string

  private constructor (binary: string, directory: string, id: string, process: Process) {
    this.#binary = binary
    this.#directory = directory
    this.#process = process
    this.id = id
  }

  static async start (options: RustEdgeOptions): Promise<RustEdge> {
    const directory = await mkdtemp(join(tmpdir(), 'peerwork-edge-'))
    const data = join(directory, 'data')
    const network = join(directory, 'network.json')
    const run = (...args: string[]): string => execFileSync(options.binary, args, { encoding: 'utf8' })
    run('genesis', '--dir', network, '--network-id', String(options.networkId ?? 0), '--relaynode', options.relay)
    run('secrets', 'init', '--data-dir', data)
    const id = run('secrets', 'output', '--data-dir', data, '--node-id').trim()
    const process = new Process(options.binary, ['server', '--network', network, '--data-dir', data,
      '--grpc-address', '127.0.0.1:0', '--libp2p', '127.0.0.1:0', '--no-discover', '--relay-on',
      '--running-mode', 'edge', '--app-url', 'http://127.0.0.1', '--app-no-agent',
      ...options.ports.flatMap((port) => ['--app-port', String(port)]),
      ...options.auth ? [] : ['--app-no-auth']])
    return new RustEdge(options.binary, directory, id, process)
  }

  /** Resolves when the edge holds a reservation at a relay. */
  async reserved (): Promise<void> {
    await this.#process.line(/reservation granted/, 60_000)
  }

  /** Creates a bearer key for all ports of this edge. */
  createKey (): string {
    const made = execFileSync(this.#binary, ['key', 'create', '--data-dir', join(this.#directory, 'data'),
      '--label', 'test'], { encoding: 'utf8' })
    const [key] = /pwk_\S+/.exec(made) ?? []
    if (key === undefined) throw new Error(`no key in: ${made}`)
    return key
  }

  async remove (): Promise<void> {
    await this.#process.stop('SIGKILL')
    await rm(this.#directory, { recursive: true, force: true })
  }
}
