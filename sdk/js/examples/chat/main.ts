/**
 * A chat room. A shared state keeps the messages to all peers, so that a peer that joins later reads
 * them too; a message to one peer is sent to that peer alone.
 */

import { avatar, element, join, make, nameOf } from '../shared/session.js'
import type { Json, Peer } from 'peerwork'

/** The number of messages that the page shows and the shared state keeps. */
const MESSAGES_MAX = 300

interface Said {
  at: number
  name: string
  text: string
  author: string
  /** The recipient, for a message to one peer. */
  to?: string
}

const node = await join('lobby')
const history = node.state<{ at: number, name: string, text: string }>('chat')
const whispers: Said[] = []
/** Notices of joins, departures and failures; they are not part of the shared state. */
const notices: Array<{ at: number, line: string }> = []
let chosen: string | undefined

const talk = element('talk')
const members = element('members')
const text = element<HTMLInputElement>('text')
const to = element<HTMLButtonElement>('to')

/** The messages to show. Other peers wrote the values of the shared state, so malformed ones are left out. */
function said (): Said[] {
  const fromAll = history.keys().flatMap((key) => {
    const value = history.get(key) as Json | undefined
    const author = key.split(' ')[1]
    if (typeof value !== 'object' || value === null || Array.isArray(value) || author === undefined) return []
    const { at, name, text } = value
    if (typeof at !== 'number' || typeof name !== 'string' || typeof text !== 'string') return []
    return [{ at, name, text, author }]
  })
  return [...fromAll, ...whispers].sort((a, b) => a.at - b.at).slice(-MESSAGES_MAX)
}

function messageElement (message: Said, before: Said | undefined): HTMLElement {
  const own = message.author === node.peerId
  const row = make('article', 'message')
  row.classList.toggle('own', own)
  row.classList.toggle('private', message.to !== undefined)
  const follows = before?.author === message.author && before.to === message.to && message.at - before.at < 120_000
  row.classList.toggle('more', follows)
  const time = new Date(message.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
  const whom = message.to === undefined ? '' : own ? ` to ${message.to} only` : ' to you only'
  const body = document.createElement('div')
  body.append(make('div', 'by', `${own ? 'You' : message.name}${whom} · ${time}`), make('div', 'bubble', message.text))
  row.append(avatar(message.author, message.name), body)
  return row
}

function showTalk (): void {
  const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80
  const all = said()
  const messages = all.map((message, at) => ({ at: message.at, row: messageElement(message, all[at - 1]) }))
  const lines = notices.map(({ at, line }) => ({ at, row: make('p', 'event', line) }))
  const rows = [...messages, ...lines].sort((a, b) => a.at - b.at).map(({ row }) => row)
  talk.replaceChildren(...rows.length > 0 ? rows : [make('p', 'empty', 'Nothing has been said in this room yet.')])
  if (atEnd) talk.scrollTop = talk.scrollHeight
}

function memberElement (peer: Peer): HTMLElement {
  const item = document.createElement('li')
  const button = document.createElement('button')
  button.className = 'member'
  button.type = 'button'
  button.setAttribute('aria-pressed', String(chosen === peer.id))
  button.title = `${peer.id}\nWrite to ${nameOf(peer)} only`
  const kind = make('span', 'badge', { direct: 'direct', relayed: 'relayed', none: 'gossip' }[peer.connection])
  kind.dataset['kind'] = peer.connection
  button.append(avatar(peer.id, peer.name), make('span', 'name', nameOf(peer)), kind)
  button.addEventListener('click', () => { choose(chosen === peer.id ? undefined : peer) })
  item.append(button)
  return item
}

function ownElement (): HTMLElement {
  const item = document.createElement('li')
  const row = document.createElement('button')
  row.className = 'member'
  row.disabled = true
  row.append(avatar(node.peerId, node.own.name), make('span', 'name', node.own.name), make('span', 'badge you', 'you'))
  item.append(row)
  return item
}

function showMembers (): void {
  const peers = node.peers.sort((a, b) => nameOf(a).localeCompare(nameOf(b)))
  members.replaceChildren(ownElement(), ...peers.map(memberElement))
  element('members-title').textContent = `Members (${peers.length + 1})`
}

function choose (peer: Peer | undefined): void {
  chosen = peer?.id
  to.hidden = peer === undefined
  to.textContent = peer === undefined ? '' : `${nameOf(peer)} only ✕`
  showMembers()
  text.focus()
}

function tell (line: string): void {
  notices.push({ at: Date.now(), line })
  notices.splice(0, notices.length - 50)
  showTalk()
}

async function say (words: string): Promise<void> {
  const at = Date.now()
  if (chosen === undefined) {
    const stamp = String(at).padStart(15, '0')
    history.set(`${stamp} ${node.peerId} ${crypto.randomUUID().slice(0, 8)}`, { at, name: node.own.name, text: words })
    const keys = history.keys().sort()
    for (const old of keys.slice(0, Math.max(0, keys.length - MESSAGES_MAX))) history.delete(old)
    return
  }
  const peer = node.peers.find(({ id }) => id === chosen)
  await node.send(chosen, { text: words })
  whispers.push({ at, name: node.own.name, text: words, author: node.peerId, to: peer === undefined ? 'them' : nameOf(peer) })
  showTalk()
}

element('compose').addEventListener('submit', (event) => {
  event.preventDefault()
  const words = text.value.trim()
  if (words === '') return
  text.value = ''
  say(words).catch((error: Error) => {
    text.value = words
    tell(error.message)
  })
})
to.addEventListener('click', () => { choose(undefined) })

node.onMessage(({ from, data }) => {
  if (typeof data !== 'object' || data === null || Array.isArray(data) || data instanceof Uint8Array) return
  const peer = node.peers.find(({ id }) => id === from)
  if (typeof data['text'] !== 'string') return
  whispers.push({ at: Date.now(), name: peer === undefined ? from : nameOf(peer), text: data['text'], author: from, to: 'you' })
  whispers.splice(0, whispers.length - MESSAGES_MAX)
  showTalk()
})
history.onChange(showTalk)
for (const event of ['peer:join', 'peer:leave', 'peer:update'] as const) node.on(event, showMembers)
node.on('peer:join', (peer) => { tell(`${nameOf(peer)} came`) })
node.on('peer:leave', (peer) => {
  if (chosen === peer.id) choose(undefined)
  tell(`${nameOf(peer)} left`)
})

showMembers()
showTalk()
await history.ready
showTalk()
text.focus()
