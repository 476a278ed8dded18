//! The lines about other nodes beside the progress of a command: those that gave blocks, and those that are
//! left alone.

use peerwork::store::Delivery;
use peerwork_api::store::v1;
use serde_json::{Value, json};

use super::status_line::StatusLine;
use crate::cli::{
    output::{Form, remark},
    printable::harmless,
    size::size,
};

/// The letters of a node's id that are shown to people: as many as `NodeId::short` gives.
const SHORT: usize = 6;

/// Writes lines about other nodes to standard error. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) form: Form,
    /// Whether people are told; events are always written.
    pub(super) shown: bool,
    /// The line of the progress, above which the lines are written.
    pub(super) line: Option<StatusLine>,
}

impl Teller {
    /// Says that a node is left alone.
    pub(super) fn dropped(&self, dropped: &v1::Dropped) {
        let v1::Dropped { node, reason } = dropped;
        self.tell(
            || format!("node …{} {reason}", short(node)),
            || json!({"event": "dropped", "node": node, "reason": reason}),
        );
    }

    /// Says from where the blocks came that were not in the store.
    pub(super) fn delivered(&self, deliveries: &[v1::Delivery]) {
        for v1::Delivery {
            node,
            daemon,
            blocks,
            bytes,
        } in deliveries
        {
            let place = match daemon.is_empty() {
                true => format!("node …{}", short(node)),
                false => format!("kubo at {daemon}"),
            };
            self.tell(
                || format!("{} in {blocks} blocks came from {place}", size(*bytes)),
                || match daemon.is_empty() {
                    true => json!({"event": "delivered", "node": node, "blocks": blocks, "bytes": bytes}),
                    false => json!({"event": "delivered", "daemon": daemon, "blocks": blocks, "bytes": bytes}),
                },
            );
        }
    }

    fn tell(&self, text: impl FnOnce() -> String, event: impl FnOnce() -> Value) {
        let line = match (self.form, self.shown) {
            (Form::Json, _) => event().to_string(),
            (Form::Text, true) => harmless(&text()).into_owned(),
            (Form::Text, false) => return,
        };
        match &self.line {
            Some(progress) => progress.beside(|| remark(&line)),
            None => remark(&line),
        }
    }
}

fn short(node: &str) -> &str {
    let from = node.len().saturating_sub(SHORT);
    node.get(from..).unwrap_or(node)
}

/// The message of what a store without a node took from elsewhere.
pub(super) fn message(delivery: Delivery) -> v1::Delivery {
    let Delivery {
        place,
        blocks,
        bytes,
    } = delivery;
    let (node, daemon) = place.texts();
    v1::Delivery {
        node,
        daemon,
        blocks,
        bytes,
    }
}
