/** The key pair that makes a node who it is. */

import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { platform } from '#platform'
import { PeerworkError } from './errors.js'
import { base64url, fromBase64url } from './bytes.js'
import type { PrivateKey } from '@libp2p/interface'

/**
 * An Ed25519 key pair. The peer id is made of its public half, so whoever holds the exported text
 * *is* this peer: keep it as you keep a password.
 */
export class Identity {
  /** For this package's own use. */
  readonly privateKey: PrivateKey
  /** The peer id. */
  readonly peerId: string

  private constructor (privateKey: PrivateKey) {
    this.privateKey = privateKey
    this.peerId = peerIdFromPrivateKey(privateKey).toString()
  }

  /** A new identity. */
  static async generate (): Promise<Identity> {
    return new Identity(await generateKeyPair('Ed25519'))
  }

  /**
   * The identity that {@link Identity.export} wrote.
   *
   * @throws PeerworkError `invalid-argument` for any other text.
   */
  static import (text: string): Identity {
    try {
      return new Identity(privateKeyFromProtobuf(fromBase64url(text.trim())))
    } catch (cause) {
      throw new PeerworkError('invalid-argument', 'the text is no exported identity', { cause })
    }
  }

  /**
   * The identity stored under a name, made at the first call.
   *
   * In a browser it is kept in `localStorage`; pages of one origin that are open at once get one
   * identity each (up to 16), and a page that is reloaded gets its own again. In Node.js the name is
   * the path of a file, which only its owner may read; one process at a time may use it.
   *
   * @throws PeerworkError `invalid-argument` when something else is stored there.
   */
  static async stored (name: string): Promise<Identity> {
    const storage = await platform.keyStorage(name)
    const text = await storage.load()
    if (text !== undefined) return Identity.import(text)
    const identity = await Identity.generate()
    await storage.save(identity.export())
    return identity
  }

  /** The private key as text (base64url of libp2p's key protobuf). */
  export (): string {
    return base64url(privateKeyToProtobuf(this.privateKey))
  }
}
