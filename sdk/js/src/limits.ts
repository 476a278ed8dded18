/**
 * This module defines all limits of the package. Input beyond a limit is refused or dropped, never
 * truncated.
 */

const KIB = 1024
const MIB = 1024 * KIB

/**
 * Characters of a room's name after percent-encoding; relays accept topics of at most 256 bytes.
 */
export const ROOM_CHARS_MAX = 96
/** Characters of the name of a topic, protocol or state after percent-encoding. */
export const NAME_CHARS_MAX = 96
/**
 * Arrays and objects inside each other in JSON. JavaScript engines write JSON by recursion, and fail
 * at a depth of some thousands that depends on the caller.
 */
export const JSON_DEPTH_MAX = 256
/** Bytes of one published message; relays forward messages of at most 256 KiB. */
export const PUBLISH_BYTES_MAX = 128 * KIB
/**
 * Bytes of one direct message. WebRTC streams buffer 4 MiB of unread data before they are reset.
 */
export const MESSAGE_BYTES_MAX = 2 * MIB
/** Streams of one protocol open at once on one connection. */
export const STREAMS_MAX = 256

/** Characters of a peer's display name. */
export const PEER_NAME_CHARS_MAX = 64
/** Bytes of the JSON of a peer's own state. */
export const PEER_STATE_BYTES_MAX = 4 * KIB
/** Bytes of one presence message. */
export const PRESENCE_BYTES_MAX = 16 * KIB
/** Addresses in one presence message. */
export const PRESENCE_ADDRESSES_MAX = 16
/** Characters of one address. */
export const ADDRESS_CHARS_MAX = 512
/** Peers that a node remembers; further peers are ignored until others leave. */
export const PEERS_MAX = 1000

/** Relays that a node keeps connections to. */
export const RELAYS_MAX = 8
/** Addresses of one relay. */
export const RELAY_ADDRESSES_MAX = 16
/** Bytes of the document `relay-config.json`. */
export const RELAY_CONFIG_BYTES_MAX = 64 * KIB
/** STUN and TURN servers that are taken from the relays. */
export const ICE_SERVERS_MAX = 8
/** URLs of one STUN or TURN server. */
export const ICE_URLS_MAX = 8
/** Characters of one URL of a STUN or TURN server. */
export const ICE_URL_CHARS_MAX = 512
/** Characters of the user name, and of the credential, of a TURN server. */
export const ICE_CREDENTIAL_CHARS_MAX = 512
/** The fewest characters of a relay's token, as at the relay. */
export const TOKEN_CHARS_MIN = 16
/** Characters of a relay's token. */
export const TOKEN_CHARS_MAX = 256

/** Keys of one shared state, deleted ones included. */
export const STATE_KEYS_MAX = 10_000
/** Characters of one key. */
export const STATE_KEY_CHARS_MAX = 256
/** Bytes of the JSON of one value. */
export const STATE_VALUE_BYTES_MAX = 64 * KIB
/** Bytes of all keys and values of one state; a snapshot has about this size at most. */
export const STATE_BYTES_MAX = 8 * MIB
/**
 * Bytes of the file of one state in Node.js. A file is written anew when it has more than twice the
 * bytes of its entries, which have up to three bytes for each character and 256 bytes around it.
 */
export const STATE_FILE_BYTES_MAX = 64 * MIB
/** Characters of the name of a database, or of the path of a folder, for shared states. */
export const STORAGE_NAME_CHARS_MAX = 1024

/** Bytes of the head of a response, and of its trailers. */
export const HTTP_HEAD_BYTES_MAX = 64 * KIB
/** Header fields of a response. */
export const HTTP_FIELDS_MAX = 256
/** Redirects that one `fetch` follows. */
export const REDIRECTS_MAX = 20

/** Characters of the source text of a task. */
export const TASK_SOURCE_CHARS_MAX = 64 * KIB
/** Bytes of the JSON of a task's input. */
export const TASK_INPUT_BYTES_MAX = MIB
/** Bytes of the JSON of a task's result. */
export const TASK_RESULT_BYTES_MAX = MIB
/** Peers that one task is sent to. */
export const TASK_REDUNDANCY_MAX = 32
/** The longest time for one task. */
export const TASK_TIMEOUT_MAX_MS = 10 * 60 * 1000

/** Bytes of a network's secret. */
export const SECRET_BYTES = 32
/** Secrets of one network that are valid at a time. */
export const NETWORK_SECRETS_MAX = 2
/** Bytes of a network's name. */
export const NETWORK_NAME_BYTES_MAX = 256
/** Entries of each list of a network file. */
export const NETWORK_ENTRIES_MAX = 1024
/** Relays that a ticket names. */
export const TICKET_RELAYS_MAX = 8
/** Bytes of the contents of a ticket. */
export const TICKET_BYTES_MAX = 4096
/** Bytes of a text that is searched for a ticket. */
export const TICKET_TEXT_BYTES_MAX = 16 * KIB
/** Bytes of a relay's response to a token: a network file of the largest size. */
export const NETWORK_FILE_BYTES_MAX = MIB

/** Bytes of the JSON of one event of the scheduler. */
export const EVENT_BYTES_MAX = 64 * KIB
/** Events of one queue of the scheduler; the oldest makes room for a further one. */
export const EVENTS_QUEUED_MAX = 1000
/** Entries of one scheduler message, and ids of one acknowledgement. */
export const SCHEDULED_ENTRIES_MAX = 256
/** Characters of the id of an event or a provider. */
export const SCHEDULED_ID_CHARS_MAX = 128
/** Providers of one kind that a scheduler calls. */
export const PROVIDERS_MAX = 256
/** Reliable events of other peers that a scheduler remembers, to deliver each only once. */
export const EVENTS_SEEN_MAX = 4096
/** Messages of one peer that a kernel takes at once, and in each second after that. */
export const KERNEL_MESSAGES_BURST = 480
export const KERNEL_MESSAGES_PER_SECOND = 240
/** Topics that a kernel subscribes to beside its own. */
export const KERNEL_TOPICS_MAX = 32
/** Threads of one compute manager. */
export const THREADS_MAX = 128
/** Tasks that wait for a thread of a compute manager. */
export const THREAD_TASKS_QUEUED_MAX = 1000
/** Topics of pubsub peer discovery that a kernel takes part in. */
export const DISCOVERY_TOPICS_MAX = 8
/** Bytes of one message of pubsub peer discovery. */
export const DISCOVERY_BYTES_MAX = 16 * KIB
/** Characters of the name of a topic that is not part of a room. */
export const RAW_TOPIC_CHARS_MAX = 256

/** Characters of the name of a Yjs document after percent-encoding. */
export const YJS_NAME_CHARS_MAX = 80
/** Bytes of a Yjs update in one published message; a larger update is announced and fetched. */
export const YJS_UPDATE_BYTES_MAX = PUBLISH_BYTES_MAX - KIB
/** Bytes of the part of a Yjs document that two peers send each other in one comparison. */
export const YJS_DOC_BYTES_MAX = 16 * MIB
/** Bytes of the state vector of a Yjs document: about 100 000 sessions that wrote to it. */
export const YJS_VECTOR_BYTES_MAX = MIB
/** Bytes of received Yjs updates that wait for an earlier update. */
export const YJS_PENDING_BYTES_MAX = MIB
/** Bytes of the JSON of one awareness state. */
export const YJS_AWARENESS_BYTES_MAX = 8 * KIB
/** Comparisons of Yjs documents that a node answers at once. */
export const YJS_ANSWERS_MAX = 8
