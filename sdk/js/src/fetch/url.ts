/** This module parses URLs of the form `peerwork://<node id>/<port>/<path>?<query>`. */

import { PeerworkError } from '../errors.js'
import { isPeerId } from '../net/addresses.js'

/** The app behind an edge and the path that a request addresses. */
export interface Target {
  /** The id of the edge. */
  edge: string
  /** The port of the app, 1 to 65535. */
  port: number
  /** The path and query, percent-encoded, beginning with a slash. */
  path: string
}

/**
 * Parses a URL without the platform's URL parser, which may change the host to lower case: a peer
 * id is case-sensitive.
 *
 * @throws PeerworkError `invalid-argument` with the reason.
 */
export function parseTarget (url: string | URL): Target {
  const text = String(url)
  const [, edge, port, path] = /^peerwork:\/\/([^/?#]+)\/(\d{1,5})(?![^/?#])([^#]*)/i.exec(text) ?? []
  if (edge === undefined || port === undefined) {
    throw invalid(text, 'it is not of the form peerwork://<node id>/<port>/<path>')
  }
  if (!isPeerId(edge)) throw invalid(text, `"${edge}" is no node id`)
  const number = Number(port)
  if (number < 1 || number > 65_535) throw invalid(text, `${port} is no port`)
  return { edge, port: number, path: normalPath(path ?? '') }
}

/** The URL of a target. */
export function urlOf ({ edge, port, path }: Target): string {
  return `peerwork://${edge}/${port}${path}`
}

/**
 * The target that a redirect leads to, or `undefined` if it leads out of the app. Apps know
 * themselves as `localhost:<port>`, which is the `Host` header that this package sends.
 */
export function resolveRedirect (from: Target, location: string): Target | undefined {
  const base = `http://localhost:${from.port}`
  try {
    const url = new URL(location, base + from.path)
    if (url.origin !== new URL(base).origin) return undefined
    return { ...from, path: url.pathname + url.search }
  } catch {
    return undefined
  }
}

/** Resolves dot segments, and encodes every character that a request line cannot hold. */
function normalPath (path: string): string {
  const url = new URL(`http://app${path.startsWith('/') ? path : `/${path}`}`)
  return url.pathname + url.search
}

function invalid (text: string, why: string): PeerworkError {
  return new PeerworkError('invalid-argument', `cannot fetch "${text.slice(0, 200)}": ${why}`)
}
