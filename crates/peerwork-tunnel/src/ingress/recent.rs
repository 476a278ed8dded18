//! Remembers the node that the last request of a connection named.
//!
//! Decoding a node id from base58 takes 2 µs, and most clients call one app again and again.

use parking_lot::Mutex;
use peerwork_identity::{NodeId, ParseNodeIdError};

/// The text and the id of the node that was parsed last.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Option<(Box<str>, NodeId)>>);

impl Recent {
    /// Parses a node id.
    ///
    /// # Errors
    /// As [`NodeId`]'s parser.
    pub(crate) fn parse(&self, text: &str) -> Result<NodeId, ParseNodeIdError> {
        if let Some((of, node)) = &*self.0.lock()
            && **of == *text
        {
            return Ok(*node);
        }
        let node = text.parse()?;
        *self.0.lock() = Some((text.into(), node));
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    #[test]
    fn each_text_gives_its_own_node_in_any_order() {
        let nodes = [0; 2].map(|_| Keypair::generate(KeyType::Ed25519).node_id());
        let recent = Recent::default();
        for turn in [0, 0, 1, 0, 1, 1] {
            let node = nodes[turn];
            assert_eq!(recent.parse(&node.to_string()), Ok(node));
            assert_eq!(recent.parse(""), Err(ParseNodeIdError::Empty));
        }
    }
}
