/**
 * A counter that all peers share. Each peer writes only its own part, so that no click is lost when
 * two peers count at once; the pages show the sum of the parts.
 */

import { avatar, element, join, make, nameOf } from '../shared/session.js'

interface Part {
  name: string
  count: number
}

const node = await join('counter')
// Parts only grow, so the larger of two values of one key is the later one.
const parts = node.state<{ name: string, count: number }>('counter', {
  merge: (a, b) => (a.count > b.count || (a.count === b.count && a.name >= b.name) ? a : b)
})

/** The part of a peer; `undefined` for a malformed value, because other peers wrote the values. */
function partOf (key: string): Part | undefined {
  const value: unknown = parts.get(key)
  if (typeof value !== 'object' || value === null) return undefined
  const { name, count } = value as Partial<Part>
  return typeof name === 'string' && Number.isSafeInteger(count) ? { name, count: count ?? 0 } : undefined
}

function show (): void {
  const all = parts.keys().flatMap((id) => {
    const part = partOf(id)
    return part === undefined ? [] : [{ id, ...part }]
  }).sort((a, b) => b.count - a.count)
  element('count').textContent = String(all.reduce((sum, { count }) => sum + count, 0))
  element('parts').replaceChildren(...all.map(({ id, name, count }) => {
    const item = document.createElement('li')
    item.append(avatar(id, name), make('span', 'grow', id === node.peerId ? `${name} (you)` : nameOf({ id, name })),
      make('strong', '', String(count)))
    return item
  }))
}

element('add').addEventListener('click', () => {
  const count = (partOf(node.peerId)?.count ?? 0) + 1
  parts.set(node.peerId, { name: node.own.name, count })
})
parts.onChange(show)
show()
await parts.ready
show()
