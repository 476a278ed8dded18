/**
 * `Relay` is a relay process: `peerwork relay` when `PEERWORK_BIN` names the program, otherwise a relay
 * in JavaScript. A restarted relay keeps its identity and its ports.
 */

import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Identity } from '../../src/index.js'
import { Process } from './process.js'
import { until } from './until.js'

const LOOPBACK = '127.0.0.1'
const BINARY = process.env['PEERWORK_BIN']

/** The addresses of a running relay, for `npm run test:with-relay`: WebSocket, and TCP. */
const RUNNING = process.env['PEERWORK_RUNNING_RELAY']?.split(' ')

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
  readonly #host: string
  #process: Process | undefined
  #ports: Ports
  /** The address for browsers. */
  webSocket = ''
  /** The address for Node.js. */
  tcp = ''

  private constructor (directory: string, key: string, args: string[], host: string, tcpPort: string) {
    this.#ports = { webSocket: '0', tcp: tcpPort }
    this.#directory = directory
    this.#key = key
    this.#args = args
    this.#host = host
  }

  /**
   * @param args further arguments, which only the Rust program knows
   * @param host the address to listen on; {@link ownLoopback} for a relay that is restarted
   * @param tcpPort the TCP port, for a relay that takes the place of another relay
   */
  static async start (args: string[] = [], host = LOOPBACK, tcpPort = '0'): Promise<Relay> {
    if (RUNNING !== undefined && args.length === 0 && host === LOOPBACK && tcpPort === '0') return Relay.#running(RUNNING)
    const directory = await mkdtemp(join(tmpdir(), 'peerwork-relay-'))
    const relay = new Relay(directory, (await Identity.generate()).export(), args, host, tcpPort)
    await relay.start()
    return relay
  }

  /** The relay that runs already. The tests of a file share it, and none of them ends it. */
  static #running ([webSocket = '', tcp = '']: string[]): Relay {
    const relay = new Relay('', '', [], LOOPBACK, '0')
    relay.webSocket = webSocket
    relay.tcp = tcp
    return relay
  }

  get id (): string {
    return this.tcp.split('/p2p/')[1] ?? ''
  }

  /** Prints a ticket of the running relay, which only the Rust program can. */
  invite (...args: string[]): string {
    const printed = execFileSync(BINARY ?? '', ['relay', 'invite', '--data-dir', join(this.#directory, 'data'), ...args],
      { encoding: 'utf8', stdio: 'pipe' })
    return printed.trim().split('\n').at(-1) ?? ''
  }

  get output (): string {
    return this.#process?.output ?? ''
  }

  /** Sends a signal that does not end the process, such as SIGSTOP. */
  signal (signal: NodeJS.Signals): void {
    this.#process?.signal(signal)
  }

  get pid (): number {
    return this.#process?.pid ?? Number.NaN
  }

  /** Ends the process by a signal. */
  async stop (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#process?.stop(signal)
  }

  /** Starts the relay, at a later start with the same identity and ports. */
  async start (): Promise<void> {
    this.#process = this.#spawn()
    await this.#addresses(this.#process)
  }

  /** Ends the relay and removes its files. */
  async remove (): Promise<void> {
    if (this.#process === undefined) return
    await this.stop('SIGKILL')
    await rm(this.#directory, { recursive: true, force: true })
  }

  #spawn (): Process {
    const { webSocket, tcp } = this.#ports
    if (BINARY !== undefined) {
      return new Process(BINARY, ['relay', '--data-dir', join(this.#directory, 'data'),
        '--websocket', `${this.#host}:${webSocket}`, '--tcp', `${this.#host}:${tcp}`, ...this.#args])
    }
    const script = fileURLToPath(new URL('js-relay.js', import.meta.url))
    return new Process(process.execPath, [script, this.#key, webSocket, tcp, this.#host])
  }

  async #addresses (process: Process): Promise<void> {
    const announced = await until('the relay\'s addresses', async () => {
      await process.line(/Relay Address: /)
      const all = [...process.output.matchAll(/(?:Relay Address|For programs): (\S+)/g)].map(([, address]) => address ?? '')
      const webSocket = all.find((address) => /\/ws\/p2p\//.test(address))
      const tcp = all.find((address) => /\/tcp\/\d+\/p2p\//.test(address))
      return webSocket !== undefined && tcp !== undefined ? { webSocket, tcp } : undefined
    })
    this.webSocket = announced.webSocket
    this.tcp = announced.tcp
    this.#ports = { webSocket: portOf(announced.webSocket), tcp: portOf(announced.tcp) }
  }
}

let taken = 0

/**
 * A loopback address whose ports only one relay binds. Connections go out from 127.0.0.1, so none of
 * them takes the relay's ports while it is away. Systems other than Linux have 127.0.0.1 alone.
 */
export function ownLoopback (): string {
  if (process.platform !== 'linux') return '127.0.0.1'
  const bits = (process.pid & 0x1ffff) << 6 | taken++ % 63
  return `127.${128 | bits >> 16}.${bits >> 8 & 255}.${bits & 255}`
}

function portOf (address: string): string {
  return /\/tcp\/(\d+)/.exec(address)?.[1] ?? '0'
}
