/** This module shuffles lists, so that many nodes do not all choose the same peer. */

/** A copy of a list in a random order. */
export function shuffled<T> (items: readonly T[]): T[] {
  return items.map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at).map(({ item }) => item)
}
