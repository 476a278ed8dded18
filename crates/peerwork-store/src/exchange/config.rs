//! Settings of the exchange with other nodes.

use std::time::Duration;

/// Settings of an [`Exchange`](super::Exchange).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// Whether this node gives blocks to other nodes. When it does not, it answers every want with
    /// DONT_HAVE; fetching works all the same.
    pub serve: bool,
    /// Bytes of blocks that were read for other nodes and wait to be sent, of all nodes together. One node
    /// has at most two messages of at most 3 MiB under way.
    pub queued_bytes_max: usize,
    /// How long a node may take to read the next 64 KiB of an answer before it is dropped.
    pub write_timeout: Duration,
    /// How long a want that was not to be answered by DONT_HAVE is remembered.
    pub remembered: Duration,
    /// How often remembered wants are looked up again, beside the blocks that this node itself fetches.
    pub lookup_interval: Duration,
    /// How long a fetch may be without progress before it ends with an error.
    pub patience: Duration,
    /// How long a provider may be silent while it owes blocks or an answer.
    pub silence: Duration,
    /// How long a provider that was dropped is left alone; ten times as long when it lied.
    pub pause: Duration,
    /// The pause between two searches for further providers, which doubles up to eight times as long.
    pub find_interval: Duration,
    /// How long a search or a dial may take.
    pub call: Duration,
    /// Nodes that are asked at once whether they have a block, and dials at once.
    pub probes_max: usize,
    /// Nodes that one session remembers.
    pub providers_max: usize,
    /// Roots that are announced at once; further ones take turns.
    pub announced_max: usize,
    /// How often the announced roots are compared with the pins, and how long a root stays announced while
    /// others wait for their turn.
    pub announce_interval: Duration,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            serve: true,
            queued_bytes_max: 64 << 20,
            write_timeout: Duration::from_secs(10),
            remembered: Duration::from_secs(180),
            lookup_interval: Duration::from_secs(2),
            patience: Duration::from_secs(30),
            silence: Duration::from_secs(10),
            pause: Duration::from_secs(10),
            find_interval: Duration::from_secs(10),
            call: Duration::from_secs(10),
            probes_max: 8,
            providers_max: 256,
            announced_max: 512,
            announce_interval: Duration::from_secs(60),
        }
    }
}
