/** `SecretNetwork` is a network with a secret: its network file, and relays that use the file. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NetworkSecret } from '../../src/index.js'
import { Relay } from './relay.js'

export class SecretNetwork {
  readonly #directory: string
  readonly #relays: Relay[] = []
  /** The network's id. It needs more than 53 bits, so that a rounded id would be another network. */
  readonly id = '4611686018427387905'
  readonly secrets: NetworkSecret[]

  private constructor (directory: string, secrets: NetworkSecret[]) {
    this.#directory = directory
    this.secrets = secrets
  }

  /** Makes a network with so many secrets. */
  static async create (secrets = 1): Promise<SecretNetwork> {
    const directory = await mkdtemp(join(tmpdir(), 'peerwork-network-'))
    return new SecretNetwork(directory, Array.from({ length: secrets }, () => NetworkSecret.generate()))
  }

  /** The options by which a node joins the network. */
  get options (): { networkId: string, secrets: string[] } {
    return { networkId: this.id, secrets: this.secrets.map((secret) => secret.toText()) }
  }

  async startRelay (...args: string[]): Promise<Relay> {
    const file = join(this.#directory, 'network.json')
    const { secrets } = this.options
    // JSON.stringify cannot write this id as a number.
    const text = JSON.stringify({ name: 'test', NetworkId: '@', bootnodes: [], relaynodes: [], secrets })
    await writeFile(file, text.replace('"@"', this.id), { mode: 0o600 })
    const relay = await Relay.start(['--network', file, ...args])
    this.#relays.push(relay)
    return relay
  }

  async remove (): Promise<void> {
    await Promise.all(this.#relays.map(async (relay) => { await relay.remove() }))
    await rm(this.#directory, { recursive: true, force: true })
  }
}
