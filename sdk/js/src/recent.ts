/** This module keeps the newest entries of maps whose keys come from other nodes. */

/**
 * Stores a value as the newest entry of a map, and removes the oldest entry when the map has more
 * than `max`.
 */
export function remember<Key, Value> (map: Map<Key, Value>, key: Key, value: Value, max: number): void {
  // A map lists its keys in the order in which they were added.
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > max && oldest !== undefined) map.delete(oldest)
}
