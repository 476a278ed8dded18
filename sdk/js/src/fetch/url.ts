/** `peerwork://<node id>/<port>/<path>?<query>`. */

import { PeerworkError } from '../errors.js'
import { isPeerId } from '../net/addresses.js'

/** An app behind an edge, and what is asked of it. */
export interface Target {
  /** The edge's id. */
  edge: string
  /** 1 to 65535. */
  port: number
  /** Path and query, percent-encoded, beginning with a slash. */
  path: string
}

/**
 * Parses by hand: a URL parser may lower the case of the host, and a peer id has both cases.
 *
 * @throws PeerworkError `invalid-argument` saying what is wrong.
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

/** The address of a target. */
export function urlOf ({ edge, port, path }: Target): string {
  return `peerwork://${edge}/${port}${path}`
}

/**
 * Where a redirect leads, or `undefined` if it leaves the app. Apps know themselves as
 * `localhost:<port>`, which is the host that they are sent.
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

/** With dot segments resolved and everything encoded that a request line cannot hold. */
function normalPath (path: string): string {
  const url = new URL(`http://app${path.startsWith('/') ? path : `/${path}`}`)
  return url.pathname + url.search
}

function invalid (text: string, why: string): PeerworkError {
  return new PeerworkError('invalid-argument', `cannot fetch "${text.slice(0, 200)}": ${why}`)
}
