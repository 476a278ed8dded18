/** This module defines the profile of the scheduler: its rates, retries and topics. */

import { SCHEDULED_ENTRIES_MAX } from '../limits.js'

/** The settings of the scheduler. */
export interface SchedulerProfile {
  /** Snapshots per second, 1 to 60. */
  snapshotHz: number
  /** Commands per second, 1 to 60. */
  commandHz: number
  /** The time after which a snapshot is sent also when no state changed. */
  keepaliveMs: number
  /** Events of one tick, 1 to 256. */
  maxEventsPerTick: number
  /** The time after which a reliable event without acknowledgement is sent again; it doubles. */
  eventRetryMs: number
  /** The number of times that a reliable event is sent, 1 to 20. */
  eventRetryMax: number
  /** The `type`s of payloads that are sent reliably without an option. */
  reliableEventTypes: string[]
  /** Whether only the authority sends snapshots, and other snapshots are ignored. */
  snapshotsRequireAuthority: boolean
  /** Topics other than the kernel's own. */
  snapshotTopic: string | null
  commandTopic: string | null
  eventTopic: string | null
  /** Taken and ignored: the node watches its relays itself. */
  reconnectStallMs: number
  reconnectBackoffMs: number
}

export const DEFAULT_SCHEDULER_PROFILE: Readonly<SchedulerProfile> = {
  snapshotHz: 20,
  commandHz: 30,
  keepaliveMs: 1000,
  maxEventsPerTick: 20,
  eventRetryMs: 500,
  eventRetryMax: 5,
  reliableEventTypes: [],
  snapshotsRequireAuthority: false,
  snapshotTopic: null,
  commandTopic: null,
  eventTopic: null,
  reconnectStallMs: 8000,
  reconnectBackoffMs: 5000
}

const HZ_MAX = 60
const RETRIES_MAX = 20
const RETRY_MS_MIN = 50
const KEEPALIVE_MS_MIN = 100

/** Brings the settings within their bounds; a setting of another type gets its default. */
export function checkProfile (profile: Partial<SchedulerProfile>): SchedulerProfile {
  const defaults = DEFAULT_SCHEDULER_PROFILE
  const topic = (name: unknown): string | null => typeof name === 'string' && name !== '' ? name : null
  return {
    snapshotHz: within(profile.snapshotHz, 1, HZ_MAX, defaults.snapshotHz),
    commandHz: within(profile.commandHz, 1, HZ_MAX, defaults.commandHz),
    keepaliveMs: within(profile.keepaliveMs, KEEPALIVE_MS_MIN, Number.MAX_SAFE_INTEGER, defaults.keepaliveMs),
    maxEventsPerTick: Math.floor(within(profile.maxEventsPerTick, 1, SCHEDULED_ENTRIES_MAX, defaults.maxEventsPerTick)),
    eventRetryMs: checkRetryMs(profile.eventRetryMs, defaults.eventRetryMs),
    eventRetryMax: Math.floor(within(profile.eventRetryMax, 1, RETRIES_MAX, defaults.eventRetryMax)),
    reliableEventTypes: Array.isArray(profile.reliableEventTypes) ? [...profile.reliableEventTypes] : [],
    snapshotsRequireAuthority: profile.snapshotsRequireAuthority === true,
    snapshotTopic: topic(profile.snapshotTopic),
    commandTopic: topic(profile.commandTopic),
    eventTopic: topic(profile.eventTopic),
    reconnectStallMs: within(profile.reconnectStallMs, 0, Number.MAX_SAFE_INTEGER, defaults.reconnectStallMs),
    reconnectBackoffMs: within(profile.reconnectBackoffMs, 0, Number.MAX_SAFE_INTEGER, defaults.reconnectBackoffMs)
  }
}

/** Brings the time before a repetition within its bounds. */
export function checkRetryMs (ms: unknown, fallback: number): number {
  return within(ms, RETRY_MS_MIN, Number.MAX_SAFE_INTEGER, fallback)
}

function within (value: unknown, min: number, max: number, fallback: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.min(max, Math.max(min, value)) : fallback
}
