/** This module describes the servers that help pages to connect by WebRTC. */

/** A STUN or TURN server: `RTCIceServer`, which type definitions without the DOM lack. */
export interface IceServer {
  urls: string | string[]
  username?: string
  credential?: string
}
