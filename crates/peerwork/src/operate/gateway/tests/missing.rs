//! Content that is elsewhere, or nowhere.

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use peerwork_store::dag::{Node, NodeLink};

use super::{Served, add, content, put, serve};

#[tokio::test]
async fn content_of_other_nodes_is_fetched_unless_the_client_forbids_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let bytes = content(300_000);
    std::fs::write(&file, &bytes).unwrap();
    let gateway = serve().await;
    let cid = add(&gateway.stores.elsewhere, &file);
    let path = format!("/ipfs/{cid}");
    let cached = gateway
        .with(&path, &[("cache-control", "only-if-cached")])
        .await;
    assert_eq!(cached.status(), 412);
    let response = gateway.get(&path).await;
    assert!(response.body() == &bytes[..], "the file changed");
}

#[tokio::test]
async fn content_that_no_node_has_is_a_502_that_names_the_nodes() {
    let gateway = serve().await;
    let unknown = "QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN";
    for query in ["", "?format=raw", "?format=car"] {
        let response = gateway.get(&format!("/ipfs/{unknown}{query}")).await;
        assert_eq!(response.status(), 502);
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(
            text.contains("asked: 16Uiu2HAmNode does not have it"),
            "{text}"
        );
    }
}

/// A file of three parts of 1,000 bytes, of which those in `missing` are nowhere.
fn torn(gateway: &Served, missing: &[usize]) -> cid::Cid {
    let mut links = Vec::new();
    // UnixFS: a file of 3,000 bytes in parts of 1,000.
    let mut data = vec![0x08, 0x02, 0x18, 0xb8, 0x17];
    for part in 0..3 {
        let bytes = Bytes::from(vec![b'a' + part as u8; 1000]);
        let block = peerwork_store::Block::new(cid::Version::V1, 0x55, bytes.clone()).unwrap();
        if !missing.contains(&part) {
            put(&gateway.stores.local, 0x55, bytes);
        }
        links.push(NodeLink {
            name: Bytes::new(),
            cid: *block.cid(),
            tsize: 1000,
        });
        data.extend([0x20, 0xe8, 0x07]);
    }
    let node = Node {
        links,
        data: Some(data.into()),
    };
    put(&gateway.stores.local, 0x70, node.encode())
}

#[tokio::test]
async fn a_range_needs_only_the_blocks_within_it() {
    let gateway = serve().await;
    let path = format!("/ipfs/{}", torn(&gateway, &[1]));
    for (range, body) in [("bytes=997-999", "aaa"), ("bytes=2000-2001", "cc")] {
        let part = gateway.with(&path, &[("range", range)]).await;
        assert_eq!(part.status(), 206);
        assert_eq!(part.body(), body);
    }
    let missing = gateway.with(&path, &[("range", "bytes=1500-1501")]).await;
    assert_eq!(missing.status(), 502);
    let without_begin = format!("/ipfs/{}", torn(&gateway, &[0]));
    let part = gateway
        .with(&without_begin, &[("range", "bytes=2000-2001")])
        .await;
    assert_eq!(
        (part.status().as_u16(), part.body().as_ref()),
        (206, &b"cc"[..])
    );
}

#[tokio::test]
async fn content_with_a_missing_block_breaks_off() {
    let gateway = serve().await;
    let cid = torn(&gateway, &[2]);
    for query in ["", "?format=car"] {
        let response = gateway.begin(&format!("/ipfs/{cid}{query}"), &[]).await;
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_err(), "{query}");
    }
}
