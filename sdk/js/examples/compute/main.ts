/** Sends a function to other peers of the room and shows which peers agree on its result. */

import { PeerworkError } from 'peerwork'
import type { PeerReport } from 'peerwork/compute'
import { avatar, element, join, make, nameOf } from '../shared/session.js'

const SAMPLES: Record<string, { source: string, input: string }> = {
  primes: {
    input: '{ "to": 200000 }',
    source: `({ to }) => {
  const composite = new Uint8Array(to + 1)
  let count = 0
  for (let n = 2; n <= to; n += 1) {
    if (composite[n]) continue
    count += 1
    for (let m = n * n; m <= to; m += n) composite[m] = 1
  }
  return { count }
}`
  },
  collatz: {
    input: '{ "below": 300000 }',
    source: `({ below }) => {
  let best = { start: 1, length: 1 }
  for (let start = 1; start < below; start += 1) {
    let length = 1
    for (let n = start; n !== 1; length += 1) n = n % 2 === 0 ? n / 2 : 3 * n + 1
    if (length > best.length) best = { start, length }
  }
  return best
}`
  },
  pi: {
    input: '{ "digits": 500 }',
    source: `({ digits }) => {
  const unity = 10n ** BigInt(digits + 10)
  const arctan = (x) => {
    let [sum, term, n] = [0n, unity / x, 1n]
    while (term !== 0n) {
      sum += n % 4n === 1n ? term / n : -term / n
      term /= x * x
      n += 2n
    }
    return sum
  }
  const pi = 4n * (4n * arctan(5n) - arctan(239n))
  return String(pi / 10n ** 10n)
}`
  }
}

const node = await join('compute')
const source = element<HTMLTextAreaElement>('source')
const input = element<HTMLInputElement>('input')
const redundancy = element<HTMLInputElement>('redundancy')
const offer = element<HTMLInputElement>('offer')
const run = element<HTMLButtonElement>('run')
const cancel = element<HTMLButtonElement>('cancel')
let stopOffer: (() => void) | undefined
let running: AbortController | undefined

function choose (name: string): void {
  const sample = SAMPLES[name]
  if (sample === undefined) return
  source.value = sample.source
  input.value = sample.input
}

function showOffers (): void {
  const count = node.peers.filter(({ workers }) => workers > 0).length
  element('offers').textContent = count === 1 ? '1 peer offers to compute' : `${count} peers offer to compute`
}

function showReports (reports: PeerReport[]): void {
  element('reports').replaceChildren(...reports.map((report) => {
    const peer = node.peers.find(({ id }) => id === report.peer) ?? { id: report.peer, name: '' }
    const item = document.createElement('li')
    const words = report.message === undefined ? report.outcome : `${report.outcome}: ${report.message}`
    item.append(avatar(peer.id, nameOf(peer)), make('span', 'grow', nameOf(peer)),
      make('span', 'badge', words), make('span', 'note', `${report.ms} ms`))
    return item
  }))
}

function showOutcome (verdict: string, value: string, reports: PeerReport[]): void {
  element('outcome').hidden = false
  element('verdict').textContent = verdict
  element('value').textContent = value
  element('value').hidden = value === ''
  showReports(reports)
}

async function compute (): Promise<void> {
  running = new AbortController()
  run.disabled = true
  cancel.hidden = false
  showOutcome('Computing…', '', [])
  try {
    const { value, reports } = await node.compute.run(source.value, JSON.parse(input.value), {
      redundancy: redundancy.valueAsNumber, timeoutMs: 30_000, until: 'all', signal: running.signal
    })
    showOutcome('A majority agrees', JSON.stringify(value, null, 2), reports)
  } catch (error) {
    const cause = error instanceof PeerworkError ? error.cause as { reports?: PeerReport[] } | undefined : undefined
    showOutcome((error as Error).message, '', cause?.reports ?? [])
  } finally {
    running = undefined
    run.disabled = false
    cancel.hidden = true
  }
}

element<HTMLSelectElement>('sample').addEventListener('change', (event) => {
  choose((event.target as HTMLSelectElement).value)
})
offer.addEventListener('change', () => {
  stopOffer?.()
  stopOffer = offer.checked ? node.compute.offer() : undefined
})
run.addEventListener('click', () => { void compute() })
cancel.addEventListener('click', () => { running?.abort() })
for (const event of ['peer:join', 'peer:leave', 'peer:update'] as const) node.on(event, showOffers)
choose('primes')
showOffers()
