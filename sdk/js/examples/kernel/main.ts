/**
 * A meadow on which players move and wave, with the `NodeKernel` that programs of PeerCompute use:
 * positions are snapshots, waves are reliable events, and the room's state counts the waves.
 */

import { NodeKernel } from 'peerwork/peercompute'
import { avatar, element, make, nameOf, showJoining } from '../shared/session.js'
import type { Json } from 'peerwork'

interface Player {
  name: string
  x: number
  y: number
}

/** The time after which a player without a snapshot is gone. */
const SILENT_MS = 5_000
const STEP = 4
const WAVE_MS = 1_200
/** The namespace of the room's state that counts the waves. */
const WAVES = 'waves'

const given = new URLSearchParams(location.search)
const players = new Map<string, Player & { seenAt: number }>()
const own: Player = { name: '', x: 20 + Math.round(Math.random() * 60), y: 20 + Math.round(Math.random() * 60) }
let kernel: NodeKernel | undefined

const field = (id: string): HTMLInputElement => element<HTMLInputElement>(id)

/** The data of a snapshot; `undefined` for malformed data, because other peers sent it. */
function playerOf (data: Json): Player | undefined {
  const { name, x, y } = Object(data) as Partial<Player>
  const within = (part: unknown): part is number => typeof part === 'number' && part >= 0 && part <= 100
  return typeof name === 'string' && name.length <= 32 && within(x) && within(y) ? { name, x, y } : undefined
}

async function enter (relays: string[], room: string): Promise<void> {
  await kernel?.stop()
  players.clear()
  const next = new NodeKernel({ bootstrapPeers: relays, gameId: 'meadow', roomId: room, name: own.name, enablePersistence: false })
  kernel = next
  await next.start()
  const network = next.getNetworkManager()
  network.configureScheduler({ snapshotHz: 20, keepaliveMs: 1000, reliableEventTypes: ['wave'] })
  network.registerStateProvider(() => own, { id: 'player' })
  network.addSnapshotHandler((id, { payload }) => {
    for (const { data } of payload) {
      const player = playerOf(data)
      if (player !== undefined) players.set(id, { ...player, seenAt: Date.now() })
    }
    show()
  })
  network.addEventHandler((id) => { wave(id) })
  next.getStateManager().observeNamespace(WAVES, show)
  element('join').hidden = true
  element('app').hidden = false
  element('title').textContent = room
  field('room').value = room
  show()
}

/** All players of the room, this one first. */
function present (): Array<Player & { id: string }> {
  const others = [...players].filter(([, { seenAt }]) => Date.now() - seenAt < SILENT_MS)
  return [{ id: kernel?.node?.peerId ?? '', ...own }, ...others.map(([id, player]) => ({ id, ...player }))]
}

function show (): void {
  const { network } = kernel?.getStatus() ?? {}
  element('status').dataset['state'] = network?.isConnected === true ? 'connected' : 'alone'
  element('status').textContent = network?.isConnected === true ? 'connected' : 'connecting…'
  const here = present()
  for (const { id, name, x, y } of here) {
    const dot = dotOf(id) ?? element('meadow').appendChild(make('div', 'dot'))
    if (dot.dataset['id'] === undefined) {
      dot.dataset['id'] = id
      dot.append(avatar(id, name), make('span', 'dot-name', nameOf({ id, name })))
    }
    dot.style.left = `${x}%`
    dot.style.top = `${y}%`
  }
  for (const dot of element('meadow').querySelectorAll<HTMLElement>('.dot')) {
    if (!here.some(({ id }) => id === dot.dataset['id'])) dot.remove()
  }
  element('players').replaceChildren(...here.map(({ id, name }, at) => {
    const item = document.createElement('li')
    item.append(avatar(id, name), make('span', 'grow', at === 0 ? `${name} (you)` : nameOf({ id, name })),
      make('span', 'badge', `waved ${wavesOf(id)}×`))
    return item
  }))
}

function dotOf (id: string): HTMLElement | undefined {
  return [...element('meadow').querySelectorAll<HTMLElement>('.dot')].find((dot) => dot.dataset['id'] === id)
}

function wavesOf (id: string): number {
  const count = kernel?.getStateManager().readScoped(WAVES, id)
  return typeof count === 'number' ? count : 0
}

function wave (id: string): void {
  const dot = dotOf(id)
  dot?.classList.add('waves')
  setTimeout(() => { dot?.classList.remove('waves') }, WAVE_MS)
}

function move (x: number, y: number): void {
  const within = (part: number): number => Math.round(Math.min(96, Math.max(4, part)) * 10) / 10
  own.x = within(x)
  own.y = within(y)
  kernel?.getNetworkManager().markStateDirty()
  show()
}

element('meadow').addEventListener('pointermove', (event) => {
  const { left, top, width, height } = element('meadow').getBoundingClientRect()
  move((event.clientX - left) / width * 100, (event.clientY - top) / height * 100)
})
element('meadow').addEventListener('keydown', ({ key }) => {
  move(own.x + (key === 'ArrowRight' ? STEP : key === 'ArrowLeft' ? -STEP : 0),
    own.y + (key === 'ArrowDown' ? STEP : key === 'ArrowUp' ? -STEP : 0))
})
element('wave').addEventListener('click', () => {
  const id = kernel?.node?.peerId
  if (kernel === undefined || id === undefined) return
  kernel.getNetworkManager().queueEvent({ type: 'wave' })
  kernel.getStateManager().writeScoped(WAVES, id, wavesOf(id) + 1)
  wave(id)
})
element('switch').addEventListener('submit', (event) => {
  event.preventDefault()
  void start(field('room').value)
})
element('join').addEventListener('submit', (event) => {
  event.preventDefault()
  own.name = field('join-name').value
  localStorage.setItem('peerwork-name', own.name)
  void start(field('join-room').value)
})
setInterval(show, 1000)

/** Enters a room; without an address the kernel looks for `relay-config.json`. */
async function start (room: string): Promise<void> {
  const relays = given.getAll('relay')
  const typed = field('join-relay').value.trim()
  element('join-error').textContent = ''
  showJoining(true)
  try {
    await enter(relays.length > 0 ? relays : typed === '' ? [] : [typed], room)
  } catch (error) {
    showJoining(false)
    element('app').hidden = true
    element('join').hidden = false
    element('join-error').textContent = (error as Error).message
  }
}

own.name = given.get('name') ?? ''
field('join-relay').value = given.get('relay') ?? ''
field('join-room').value = given.get('room') ?? 'meadow'
field('join-name').value = own.name === '' ? localStorage.getItem('peerwork-name') ?? '' : own.name
if (own.name === '') element('join').hidden = false
else void start(field('join-room').value)
