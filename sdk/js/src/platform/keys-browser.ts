/** This module stores identities in `localStorage`. */

import type { KeyStorage } from './platform.js'

/**
 * The number of pages of one origin that can be open at once, each with an identity of its own.
 */
const SLOTS = 16

/**
 * Takes the first slot that no other page of this origin holds. The Web Lock of the slot is held
 * until the page ends. Pages without Web Locks (which need a secure context) share the first slot.
 */
export async function keyStorage (name: string): Promise<KeyStorage> {
  for (let slot = 0; slot < SLOTS; slot += 1) {
    const key = `peerwork-identity:${name}:${slot}`
    if (await takeLock(key)) return inLocalStorage(key)
  }
  return { load: async () => undefined, save: async () => {} }
}

async function takeLock (name: string): Promise<boolean> {
  if (navigator.locks === undefined) return true
  return await new Promise<boolean>((resolve, reject) => {
    navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
      resolve(lock !== null)
      if (lock !== null) await new Promise<never>(() => {})
    }).catch(reject)
  })
}

function inLocalStorage (key: string): KeyStorage {
  return {
    load: async () => localStorage.getItem(key) ?? undefined,
    save: async (text) => { localStorage.setItem(key, text) }
  }
}
