/** This module makes abort controllers for which much work at a time waits. */

import { platform } from '#platform'

/** Makes the controller of a part that lives as long as the node: each peer and call listens to its signal. */
export function longController (): AbortController {
  const controller = new AbortController()
  platform.allowListeners(controller.signal)
  return controller
}
