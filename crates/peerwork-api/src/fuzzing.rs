//! This function exposes the crate's JSON-RPC decoder to fuzz targets; it is not part of the public
//! interface.

use crate::jsonrpc::wire;

/// Parses a text as JSON-RPC and serializes the error answers to malformed requests.
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
