//! Paths at an ingress: the app gets exactly the bytes that the client wrote after the port.
#![cfg_attr(fuzzing, no_main)]

use http::uri::PathAndQuery;
use peerwork_tunnel::ingress::path::{RequestPath, parse};

peerwork_fuzz::target!(|data: &[u8]| {
    let Ok(path) = PathAndQuery::try_from(data) else {
        return;
    };
    if let Ok(RequestPath::App(target)) = parse(&path) {
        assert_ne!(target.port, 0);
        let rest = &path.as_str()[target.prefix_bytes..];
        let rest = match rest.starts_with('/') {
            true => rest.to_owned(),
            false => format!("/{rest}"),
        };
        assert_eq!(target.rest.as_str(), rest);
    }
});
