/** The common start of all examples: reads the page's parameters, joins the room and shows the status. */

import { Identity, PeerworkNode } from 'peerwork'

/** Returns the element with an id, which every page has. */
export function element<T extends HTMLElement = HTMLElement> (id: string): T {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no #${id}`)
  return found as T
}

/**
 * The server of the examples as a list of relays, if it has a `relay-config.json`, as `npm run dev`
 * does. Otherwise the server may say what is missing, which is shown to the user.
 */
async function configured (): Promise<string[]> {
  const answer = await fetch('/relay-config.json').catch(() => undefined)
  if (answer?.ok === true) return [location.origin]
  if (answer?.headers.get('content-type') === 'text/plain') element('join-error').textContent = await answer.text()
  return []
}

/** Shows whether the page is joining, so that nobody joins twice. */
export function showJoining (joining: boolean): void {
  element('status').textContent = joining ? 'joining…' : 'not joined'
  const button = element('join').querySelector('button')
  if (button !== null) button.disabled = joining
}

/**
 * Joins the room of `?relay=…&room=…&name=…`, and asks the user for missing parameters. `relay` may
 * occur several times, and is not needed where the server has a `relay-config.json`. With `own=1` the identity is made for this page only.
 */
export async function join (defaultRoom: string): Promise<PeerworkNode> {
  const given = new URLSearchParams(location.search)
  const relays = given.has('relay') ? given.getAll('relay') : await configured()
  const form = element<HTMLFormElement>('join')
  const name = given.get('name') ?? localStorage.getItem('peerwork-name') ?? ''
  const field = (id: string): HTMLInputElement => element<HTMLInputElement>(id)
  field('join-relay').value = relays[0] ?? ''
  field('join-room').value = given.get('room') ?? defaultRoom
  field('join-name').value = name
  if (relays.length > 0 && name !== '') return await enter(relays, field('join-room').value, name)
  form.hidden = false
  return await new Promise((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const chosen = relays.length > 1 ? relays : [field('join-relay').value.trim()]
      element('join-error').textContent = ''
      enter(chosen, field('join-room').value, field('join-name').value).then((node) => {
        localStorage.setItem('peerwork-name', field('join-name').value)
        resolve(node)
      }, (error: Error) => { element('join-error').textContent = error.message })
    })
  })
}

async function enter (relays: string[], room: string, name: string): Promise<PeerworkNode> {
  const own = new URLSearchParams(location.search).has('own')
  showJoining(true)
  try {
    const identity = own ? await Identity.generate() : await Identity.stored('examples')
    const node = await PeerworkNode.join({ relays, room, name, identity })
    element('join').hidden = true
    element('app').hidden = false
    element('title').textContent = room
    showStatus(node)
    return node
  } catch (error) {
    showJoining(false)
    element('join').hidden = false
    element('join-error').textContent = (error as Error).message
    throw error
  }
}

/** Updates the status line when a relay or a peer changes. */
function showStatus (node: PeerworkNode): void {
  const status = element('status')
  const show = (): void => {
    const connected = node.relays.filter((relay) => relay.connected).length
    const direct = node.peers.filter((peer) => peer.connection === 'direct').length
    status.dataset['state'] = connected > 0 ? 'connected' : direct > 0 ? 'connecting' : 'alone'
    status.textContent = connected > 0 ? 'connected' : direct > 0 ? 'without relay' : 'connecting…'
    status.title = node.relays.map((relay) => `${relay.id}: ${relay.connected ? 'connected' : relay.error ?? 'connecting'}`).join('\n')
  }
  for (const event of ['relay:connected', 'relay:disconnected', 'peer:join', 'peer:leave', 'peer:update'] as const) {
    node.on(event, show)
  }
  show()
}

/** Makes a round badge with initials, whose colour is derived from the id. */
export function avatar (id: string, name: string): HTMLElement {
  const sign = document.createElement('span')
  sign.className = 'avatar'
  sign.setAttribute('aria-hidden', 'true')
  sign.textContent = (name.trim() || '?').slice(0, 2).toUpperCase()
  const hash = [...id].reduce((sum, char) => Math.imul(sum ^ char.charCodeAt(0), 0x01000193), 0x811c9dc5)
  sign.style.setProperty('--hue', String((hash >>> 8) % 360))
  return sign
}

/** The display name of a peer; a short form of the id where the peer has no name. */
export function nameOf (peer: { id: string, name: string }): string {
  return peer.name.trim() === '' ? `…${peer.id.slice(-6)}` : peer.name
}

/** Makes an element with a class and a text; text of other peers never becomes markup. */
export function make (tag: string, className: string, text = ''): HTMLElement {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
