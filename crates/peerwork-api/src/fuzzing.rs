//! What the fuzz targets reach of this crate's decoders; no part of the interface.

use crate::jsonrpc::wire;

/// Reads a text as JSON-RPC and writes the answers to what is wrong with it.
pub fn json_rpc(text: &[u8]) {
    let malformed = match wire::parse(text, 100) {
        Err(answer) => vec![answer],
        Ok(wire::Incoming::One(item)) => item.err().into_iter().collect(),
        Ok(wire::Incoming::Batch(items)) => items.into_iter().filter_map(Result::err).collect(),
    };
    for answer in malformed {
        assert!(answer.to_text().starts_with('{'));
    }
}
