/**
 * Tests the package as `npm pack` makes it, in a project of a consumer: its files and sizes, its
 * types, its entry points in Node.js, and what bundlers make of it.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { Identity } from '../../src/index.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../../', import.meta.url))
let project: string
let installed: string
let files: string[]

before(async () => {
  project = await mkdtemp(join(tmpdir(), 'peerwork-consumer-'))
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], { cwd: root })
  const [{ filename, files: packed }] = JSON.parse(stdout) as [{ filename: string, files: Array<{ path: string }> }]
  files = packed.map(({ path }) => path)
  installed = join(project, 'node_modules/peerwork')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', join(project, filename), '--strip-components=1', '-C', installed])
  // The dependencies, as `npm install` would put them beside the package.
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name.startsWith('.') || name === '@types') continue
    await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name))
  }
  await writeFile(join(project, 'package.json'), '{"name":"consumer","private":true}')
})
after(async () => { await rm(project, { recursive: true }) })

test('the archive holds the package alone: no source maps, no tests, and all that the README links', async () => {
  assert.deepEqual(files.filter((file) => /\.map$|^dist\/(test|maps|examples)\/|^src\/(?!limits\.ts$)|^(test|scripts|examples)\//.test(file)), [])
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    assert.doesNotMatch(await readFile(join(installed, file), 'utf8'), /sourceMappingURL/, file)
  }
  const readme = await readFile(join(installed, 'README.md'), 'utf8')
  for (const [, link = ''] of readme.matchAll(/\]\((?!https?:|\.\.\/|#)([^)#]+)/g)) {
    await stat(join(installed, link)).catch(() => assert.fail(`the README links ${link}, which is not in the package`))
  }
})

test('the sizes are those in the README, and within their bounds', async () => {
  await run(process.execPath, [join(root, 'scripts/sizes.mjs'), '--check'])
})

const PROGRAM = `
import { Identity, PeerworkNode, PeerworkError, SharedState, NetworkSecret, parseTicket, redeemTicket } from 'peerwork'
import { canonicalJson } from 'peerwork/compute'
import { EdgeClient } from 'peerwork/fetch'
import { Identity as Alone } from 'peerwork/identity'
import type { IceServer, JoinOptions, StateRecord, StateStorage } from 'peerwork'
import type { PeerReport } from 'peerwork/compute'
import { NodeKernel } from 'peerwork/peercompute'

const storage: StateStorage = {
  load: async (state: string): Promise<StateRecord[]> => [],
  save: async (state, records, resolve) => { for (const record of records) resolve(record, record) }
}
const iceServers: IceServer[] = [{ urls: 'stun:stun.example' }]
export async function main (options: JoinOptions): Promise<PeerReport[]> {
  const identity: Alone = await Identity.stored('x')
  const node = await PeerworkNode.join({ ...options, identity: await Identity.generate(), persist: storage, iceServers })
  node.on('state:unsaved', ({ name, reason }: { name: string, reason: string }) => {})
  const state: SharedState<number> = node.state<number>('s', { merge: (a, b) => Math.max(a, b) })
  await state.saved()
  const { value, reports } = await node.compute.run(({ n }: { n: number }) => n, { n: 1 }, { atLeast: 1 })
  const sum: number = value
  const edges = await EdgeClient.connect({ relays: ['x'], timeoutMs: 0 })
  const response: Response = await edges.fetch('peerwork://x/1/')
  const text: string = await response.text()
  try { parseTicket(canonicalJson([sum, text])) } catch (error) { if (error instanceof PeerworkError) throw error }
  // @ts-expect-error the room is missing
  PeerworkNode.join({ relays: [] }).catch(() => {})
  const kernel = new NodeKernel({ topology: 'distributed', bootstrapPeers: ['x'], gameId: 'g', roomId: 'r' })
  kernel.getNetworkManager().addMessageHandler((peerId, message) => { void [peerId, message] })
  kernel.getStateManager().observeNamespace('n', (value, key) => { void [value, key] })
  void [identity.peerId, NetworkSecret, redeemTicket]
  return reports
}
`

/** The definitions of Yjs itself need the DOM and a recent compiler. */
const YJS_PROGRAM = `
import { PeerworkNode } from 'peerwork'
import { PeerworkProvider } from 'peerwork/yjs'
import * as Y from 'yjs'

export async function share (node: PeerworkNode): Promise<Y.Doc> {
  const provider = new PeerworkProvider(node, new Y.Doc(), { name: 'text' })
  provider.awareness.setLocalStateField('user', { name: 'Ada' })
  await provider.whenSynced
  return provider.doc
}
`

for (const compiler of ['typescript', 'typescript-oldest']) {
  for (const [resolution, module] of [['bundler', 'es2022'], ['nodenext', 'nodenext']] as const) {
    for (const lib of ['dom', 'node'] as const) {
      test(`the types pass every check: ${compiler}, ${resolution}, ${lib === 'dom' ? 'DOM without Node.js' : 'Node.js without DOM'}`, async () => {
        const folder = join(project, `${compiler}-${resolution}-${lib}`)
        await mkdir(folder)
        await writeFile(join(folder, 'main.mts'), PROGRAM)
        await writeFile(join(folder, 'yjs.mts'), compiler === 'typescript' && lib === 'dom' ? YJS_PROGRAM : '')
        await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
          compilerOptions: {
            strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true, target: 'es2022', module, moduleResolution: resolution,
            lib: lib === 'dom' ? ['es2022', 'dom', 'dom.iterable'] : ['es2022'],
            types: lib === 'dom' ? [] : ['node'],
            typeRoots: [join(root, 'node_modules/@types')]
          },
          include: ['main.mts', 'yjs.mts']
        }))
        const tsc = join(root, 'node_modules', compiler, 'bin/tsc')
        await run(process.execPath, [tsc, '--project', folder]).catch((error: { stdout: string }) => assert.fail(error.stdout))
      })
    }
  }
}

/** The names that the programs of the documents take from the program around them, by document. */
const AROUND = `
type StateStorage = import('peerwork').StateStorage
type StateRecord = import('peerwork').StateRecord
type ResolveRecords = import('peerwork').ResolveRecords
declare const PeerworkNode: typeof import('peerwork').PeerworkNode
declare const PeerworkProvider: typeof import('peerwork/yjs').PeerworkProvider
declare const redeemTicket: typeof import('peerwork').redeemTicket
declare const identity: import('peerwork').Identity
declare const doc: import('yjs').Doc
declare const edge: string
declare const relays: string[]
declare const draw: (...change: unknown[]) => void
declare const warn: (text: string) => void
`
const NODES: Record<string, string> = { 'docs/peercompute.md': "import('peerwork/peercompute').NodeKernel" }

/** A program of a document as a module: its imports, and the rest in a function. */
function moduleOf (program: string): string {
  const lines = program.split('\n')
  const imports = lines.filter((line) => line.startsWith('import '))
  return [...imports, 'export async function program () {', ...lines.filter((line) => !line.startsWith('import ')), '}'].join('\n')
}

test('every program in the README and in docs passes the type check', async () => {
  const folder = join(project, 'documents')
  const documents = files.filter((file) => file.endsWith('.md'))
  let programs = 0
  for (const document of documents) {
    const text = await readFile(join(installed, document), 'utf8')
    const at = join(folder, document)
    await mkdir(at, { recursive: true })
    await writeFile(join(at, 'around.d.ts'), `${AROUND}declare const node: ${NODES[document] ?? "import('peerwork').PeerworkNode"}\n`)
    for (const [, program = ''] of text.matchAll(/^```[jt]s\n([^]*?)^```$/gm)) {
      programs += 1
      // The name of the file tells where the program begins in the document.
      await writeFile(join(at, `line-${text.slice(0, text.indexOf(program)).split('\n').length}.ts`), moduleOf(program))
    }
    // The programs are JavaScript for readers, without checks for null and without types of parameters.
    await writeFile(join(at, 'tsconfig.json'), JSON.stringify({
      compilerOptions: {
        strict: false, skipLibCheck: true, noEmit: true, target: 'es2022', module: 'esnext', moduleResolution: 'bundler', types: [],
        lib: ['es2022', 'dom', 'dom.iterable']
      },
      include: ['*.ts']
    }))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    await run(process.execPath, [tsc, '--project', at]).catch((error: { stdout: string }) => assert.fail(`${document}: ${error.stdout}`))
  }
  assert.ok(programs >= 12, `${programs} programs`)
})

/** Runs a program of the consumer. */
async function consume (name: string, source: string, ...args: string[]): Promise<string> {
  await writeFile(join(project, name), source)
  const { stdout } = await run(process.execPath, [...args, name], { cwd: project })
  return stdout.trim()
}

test('every entry point can be imported in Node.js', async () => {
  const printed = await consume('all.mjs', `
    const names = ['peerwork', 'peerwork/compute', 'peerwork/fetch', 'peerwork/identity', 'peerwork/peercompute', 'peerwork/yjs']
    const modules = await Promise.all(names.map((name) => import(name)))
    console.log(modules.map((module) => Object.keys(module).length > 0).join())
    const { Identity } = modules[0]
    console.log(modules[2].Identity === Identity && modules[3].Identity === Identity)
  `)
  assert.equal(printed, 'true,true,true,true,true,true\ntrue')
})

test('an identity alone loads neither libp2p nor transports, and fetch alone no gossip', async () => {
  await writeFile(join(project, 'trace.mjs'), `
    import { register } from 'node:module'
    register('data:text/javascript,' + encodeURIComponent(\`
      import { writeSync } from 'node:fs'
      export async function load (url, context, next) { writeSync(1, url + '\\\\n'); return await next(url, context) }
    \`))
  `)
  const packages = async (entry: string): Promise<Set<string>> => {
    const printed = await consume('traced.mjs', `import '${entry}'`, '--import', './trace.mjs')
    return new Set([...printed.matchAll(/.*\/node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//g)].map(([, name]) => name ?? ''))
  }
  const identity = await packages('peerwork/identity')
  const edges = await packages('peerwork/fetch')
  assert.ok(identity.has('@libp2p/crypto') && edges.has('libp2p'))
  for (const name of ['libp2p', 'ws', '@libp2p/tcp', '@libp2p/websockets', '@libp2p/noise', '@libp2p/gossipsub']) {
    assert.ok(!identity.has(name), `peerwork/identity loads ${name}`)
  }
  assert.ok(!edges.has('@libp2p/gossipsub'))
})

test('require() works where Node.js can require modules, and says what is wrong elsewhere', async () => {
  const printed = await consume('common.cjs', `
    try {
      console.log(require('peerwork').Identity === require('peerwork/identity').Identity)
    } catch (error) {
      console.log(error.code)
    }
  `, '--no-warnings')
  const { require_module: canRequire } = process.features as unknown as { require_module?: boolean }
  assert.equal(printed, canRequire === true ? 'true' : 'ERR_REQUIRE_ESM')
})

test('a bundler takes only the identity when only the identity is imported', async () => {
  await writeFile(join(project, 'page.js'), "import { Identity } from 'peerwork'\nexport const make = () => Identity.generate()")
  const { outputFiles: [bundle], warnings } = await build({
    entryPoints: [join(project, 'page.js')], bundle: true, format: 'esm', platform: 'browser', minify: true, write: false, logLevel: 'silent'
  })
  assert.ok(bundle !== undefined)
  assert.deepEqual(warnings.map(({ text }) => text), [])
  const own = (await run(process.execPath, [join(root, 'scripts/sizes.mjs')])).stdout
  const alone = Number(/`peerwork\/identity` \| ([\d.]+)/.exec(own)?.[1]) * 1000
  assert.ok(bundle.contents.byteLength < 1.1 * alone, `${bundle.contents.byteLength} bytes, and peerwork/identity ${alone}`)
  const path = join(project, 'bundle.mjs')
  await writeFile(path, bundle.contents)
  const { make } = await import(path) as { make: () => Promise<Identity> }
  assert.equal(Identity.import((await make()).export()).peerId.slice(0, 8), '12D3KooW')
})
