/**
 * A relay process: `peerwork relay` when `PEERWORK_BIN` names the program, else a relay in JavaScript.
 * It keeps its identity and its ports over a restart.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Identity } from '../../src/index.js'
import { Process } from './process.js'
import { until } from './until.js'

const BINARY = process.env['PEERWORK_BIN']

/** Whether tests run against the Rust program. */
export const isRust = BINARY !== undefined

interface Ports {
  webSocket: string
  tcp: string
}

export class Relay {
  readonly #directory: string
  readonly #key: string
  readonly #args: string[]
  #process: Process
  #ports: Ports = { webSocket: '0', tcp: '0' }
  /** The address for browsers. */
  webSocket = ''
  /** The address for Node.js. */
  tcp = ''

  private constructor (directory: string, key: string, args: string[]) {
    this.#directory = directory
    this.#key = key
    this.#args = args
    this.#process = this.#spawn()
  }

  /** @param args further arguments, which only the Rust program knows */
  static async start (args: string[] = []): Promise<Relay> {
    const directory = await mkdtemp(join(tmpdir(), 'peerwork-relay-'))
    const relay = new Relay(directory, (await Identity.generate()).export(), args)
    await relay.#addresses()
    return relay
  }

  get id (): string {
    return this.tcp.split('/p2p/')[1] ?? ''
  }

  get output (): string {
    return this.#process.output
  }

  /** Ends the process as a crash does, or as its owner does. */
  async stop (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#process.stop(signal)
  }

  /** Starts it again, with the same identity and ports. */
  async start (): Promise<void> {
    this.#process = this.#spawn()
    await this.#addresses()
  }

  /** Ends it for good. */
  async remove (): Promise<void> {
    await this.stop('SIGKILL')
    await rm(this.#directory, { recursive: true, force: true })
  }

  #spawn (): Process {
    const { webSocket, tcp } = this.#ports
    if (BINARY !== undefined) {
      return new Process(BINARY, ['relay', '--data-dir', join(this.#directory, 'data'),
        '--websocket', `127.0.0.1:${webSocket}`, '--tcp', `127.0.0.1:${tcp}`, ...this.#args])
    }
    const script = fileURLToPath(new URL('js-relay.js', import.meta.url))
    return new Process(process.execPath, [script, this.#key, webSocket, tcp])
  }

  async #addresses (): Promise<void> {
    const announced = await until('the relay\'s addresses', async () => {
      await this.#process.line(/Relay Address: /)
      const all = [...this.#process.output.matchAll(/(?:Relay Address|For programs): (\S+)/g)].map(([, address]) => address ?? '')
      const webSocket = all.find((address) => /\/ws\/p2p\//.test(address))
      const tcp = all.find((address) => /\/tcp\/\d+\/p2p\//.test(address))
      return webSocket !== undefined && tcp !== undefined ? { webSocket, tcp } : undefined
    })
    this.webSocket = announced.webSocket
    this.tcp = announced.tcp
    this.#ports = { webSocket: portOf(announced.webSocket), tcp: portOf(announced.tcp) }
  }
}

function portOf (address: string): string {
  return /\/tcp\/(\d+)/.exec(address)?.[1] ?? '0'
}
