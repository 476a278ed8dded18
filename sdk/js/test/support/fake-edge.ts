/** `FakeEdge` is an edge in JavaScript: it accepts tunnels over a relay and connects them to local ports. */

import '#transports'
import { connect } from 'node:net'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { concat, utf8 } from '../../src/bytes.js'
import { Fields, bytesField, numberField, varint } from '../../src/fetch/protobuf.js'
import { StreamReader } from '../../src/stream/reader.js'
import { endWriting, writeAll } from '../../src/stream/writer.js'
import { until } from './until.js'
import type { Libp2p, Stream } from '@libp2p/interface'
import type { Socket } from 'node:net'

/** The ports and the faults of the edge. */
export interface FakeEdgeOptions {
  relay: string
  ports: number[]
  key?: string
  /** Answers every stream with the byte for busy. */
  busy?: boolean
  /** Answers every head with these bytes. */
  nonsense?: Uint8Array
}

export class FakeEdge {
  readonly #libp2p: Libp2p
  readonly #options: FakeEdgeOptions
  /** The number of heads that were read. */
  heads = 0

  private constructor (libp2p: Libp2p, options: FakeEdgeOptions) {
    this.#libp2p = libp2p
    this.#options = options
  }

  static async start (options: FakeEdgeOptions): Promise<FakeEdge> {
    const libp2p = await createLibp2p({
      addresses: { listen: [`${options.relay}/p2p-circuit`] },
      transports: [tcp(), webSockets(), circuitRelayTransport()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() }
    })
    const edge = new FakeEdge(libp2p, options)
    await libp2p.handle('/peerwork/tunnel/1', (stream) => { void edge.#serve(stream) },
      { runOnLimitedConnection: true, maxInboundStreams: 100 })
    await until('the edge\'s reservation', () => libp2p.getMultiaddrs().length > 0)
    return edge
  }

  get id (): string {
    return this.#libp2p.peerId.toString()
  }

  async stop (): Promise<void> {
    await this.#libp2p.stop()
  }

  async #serve (stream: Stream): Promise<void> {
    const never = new AbortController().signal
    try {
      await writeAll(stream, Uint8Array.of(this.#options.busy === true ? 1 : 0), never)
      if (this.#options.busy === true) return
      const reader = new StreamReader(stream)
      const head = new Fields(await reader.exactly(await reader.byte(never), never))
      this.heads += 1
      if (this.#options.nonsense !== undefined) return await writeAll(stream, this.#options.nonsense, never)
      await this.#carry(stream, reader, head)
    } catch (error) {
      stream.abort(error as Error)
    }
  }

  async #carry (stream: Stream, reader: StreamReader, head: Fields): Promise<void> {
    const never = new AbortController().signal
    const port = head.number(1)
    if (!this.#options.ports.includes(port)) return await refuse(stream, 1)
    if (this.#options.key !== undefined && head.text(5) === '') return await refuse(stream, 2)
    if (this.#options.key !== undefined && head.text(5) !== this.#options.key) return await refuse(stream, 3)
    const app = connect(port, '127.0.0.1')
    const connected = await new Promise((resolve) => {
      app.once('connect', () => { resolve(true) }).once('error', () => { resolve(false) })
    })
    if (connected !== true) return await refuse(stream, 5)
    await writeAll(stream, Uint8Array.of(0), never)
    await Promise.all([toApp(reader, app), fromApp(app, stream)])
  }
}

async function refuse (stream: Stream, reason: number): Promise<void> {
  const never = new AbortController().signal
  const refused = bytesField(1, concat([numberField(1, reason), bytesField(2, utf8('said the fake edge'))]))
  await writeAll(stream, concat([varint(refused.byteLength), refused]), never)
  await endWriting(stream, never)
}

async function toApp (reader: StreamReader, app: Socket): Promise<void> {
  const never = new AbortController().signal
  for (;;) {
    const bytes = await reader.read(never).catch(() => null)
    if (bytes === null) break
    if (!app.write(bytes)) await new Promise<void>((resolve) => { app.once('drain', resolve).once('close', resolve) })
  }
  app.end()
}

async function fromApp (app: Socket, stream: Stream): Promise<void> {
  const never = new AbortController().signal
  try {
    for await (const bytes of app) await writeAll(stream, bytes as Buffer, never)
    await endWriting(stream, never)
  } catch (error) {
    stream.abort(error as Error)
  }
}
