/** `Identity` is the key pair of a node, from which its peer id derives. */

import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { keyStorage } from '#keys'
import { PeerworkError } from './errors.js'
import { base64url, fromBase64url } from './bytes.js'
import type { PrivateKey } from '@libp2p/interface'

/**
 * An Ed25519 key pair. The peer id derives from its public half, so a person who has the exported
 * text can act as this peer: keep the text secret like a password.
 */
export class Identity {
  /**
   * For internal use.
   *
   * @internal
   */
  readonly privateKey: PrivateKey
  /** The peer id of this key pair. */
  readonly peerId: string

  private constructor (privateKey: PrivateKey) {
    this.privateKey = privateKey
    this.peerId = peerIdFromPrivateKey(privateKey).toString()
  }

  /** Generates an identity. */
  static async generate (): Promise<Identity> {
    return new Identity(await generateKeyPair('Ed25519'))
  }

  /**
   * Reads an identity from the text that {@link Identity.export} wrote.
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
   * The identity stored under a name; the first call generates it.
   *
   * In a browser the identity is stored in `localStorage`. Pages of one origin that are open at
   * once get different identities (up to 16), and a page that is reloaded gets its own identity
   * again. In Node.js the name is the path of a file that only its owner may read; only one process
   * at a time may use it.
   *
   * @throws PeerworkError `invalid-argument` when the stored text is not an identity.
   */
  static async stored (name: string): Promise<Identity> {
    const storage = await keyStorage(name)
    const text = await storage.load()
    if (text !== undefined) return Identity.import(text)
    const identity = await Identity.generate()
    await storage.save(identity.export())
    return identity
  }

  /** Exports the private key as text (libp2p's protobuf form of the key in base64url). */
  export (): string {
    return base64url(privateKeyToProtobuf(this.privateKey))
  }
}
