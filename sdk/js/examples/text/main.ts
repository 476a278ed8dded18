/**
 * A text that all peers edit together: a Yjs document in a CodeMirror editor, with the cursors of
 * the others. The text is also kept in this browser, so that edits without a connection last.
 */

import { minimalSetup } from 'codemirror'
import { EditorState } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { PeerworkProvider } from 'peerwork/yjs'
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next'
import { IndexeddbPersistence } from 'y-indexeddb'
import * as Y from 'yjs'
import { avatar, element, join, make } from '../shared/session.js'

interface Editor {
  name: string
  peer: string
}

const node = await join('text')
const doc = new Y.Doc()
const text = doc.getText('text')
const stored = new IndexeddbPersistence(`peerwork-text ${node.room}`, doc)
const provider = new PeerworkProvider(node, doc, { name: 'text' })
const { awareness } = provider

// The same colour as the badge of this peer has.
const hue = avatar(node.peerId, node.own.name).style.getPropertyValue('--hue')
awareness.setLocalStateField('user', {
  name: node.own.name, peer: node.peerId, color: `hsl(${hue} 55% 42%)`, colorLight: `hsl(${hue} 70% 50% / .25)`
})

const undoManager = new Y.UndoManager(text)
const view = new EditorView({
  parent: element('editor'),
  state: EditorState.create({
    doc: text.toString(),
    extensions: [
      keymap.of(yUndoManagerKeymap), minimalSetup, EditorView.lineWrapping,
      placeholder('Write here. The others of the room see each letter.'),
      EditorView.contentAttributes.of({ 'aria-label': 'Text' }),
      yCollab(text, awareness, { undoManager })
    ]
  })
})

/** The editors of the text. Other peers wrote their states, so malformed ones are left out. */
function editors (): Editor[] {
  return [...awareness.getStates().values()].flatMap(({ user }) => {
    const { name, peer } = Object(user) as Partial<Editor>
    return typeof name === 'string' && typeof peer === 'string' ? [{ name, peer }] : []
  })
}

function showEditors (): void {
  element('editors').replaceChildren(...editors().map(({ name, peer }) => {
    const item = make('li', 'member')
    item.append(avatar(peer, name), make('span', 'name', peer === node.peerId ? `${name} (you)` : name))
    return item
  }))
}

function showNote (): void {
  const length = `${text.length} characters`
  element('note').textContent = provider.synced
    ? `${length}, kept in this browser too.`
    : `${length}. Your edits are kept in this browser and sent when a peer is there.`
}

awareness.on('change', showEditors)
text.observe(showNote)
provider.on('sync', showNote)
showEditors()
showNote()
await stored.whenSynced
view.focus()
