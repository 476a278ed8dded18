//! Blocks and CARs: `?format=` and `Accept`, and the forms that are refused.

use peerwork_api::gateway::{Duplicates, EntityBytes, Scope};

use super::{header, start, trustless};

#[tokio::test]
async fn a_block_is_a_download_of_its_bytes() {
    let gateway = start().await;
    let file = gateway.tree.file("<script>");
    let root = gateway.tree.directory(&[("f", file)]);
    let path = format!("/ipfs/{root}/f");
    for (query, accept) in [("?format=raw", ""), ("", "application/vnd.ipld.raw")] {
        let response = gateway
            .with(&format!("{path}{query}"), &[("accept", accept)])
            .await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), "<script>");
        for (name, value) in [
            ("content-type", "application/vnd.ipld.raw".to_owned()),
            ("content-length", "8".to_owned()),
            (
                "content-disposition",
                format!("attachment; filename=\"{file}.bin\""),
            ),
            ("etag", format!("\"{file}.raw\"")),
            (
                "cache-control",
                "public, max-age=29030400, immutable".to_owned(),
            ),
            ("x-ipfs-path", path.clone()),
            ("x-ipfs-roots", format!("{root},{file}")),
        ] {
            assert_eq!(header(&response, name), value, "{name}");
        }
        let location = if accept.is_empty() {
            String::new()
        } else {
            format!("{path}?format=raw")
        };
        assert_eq!(header(&response, "content-location"), location);
    }
    let named = gateway
        .get(&format!("{path}?format=raw&filename=x.bin"))
        .await;
    assert_eq!(
        header(&named, "content-disposition"),
        "attachment; filename=\"x.bin\""
    );
}

#[tokio::test]
async fn a_car_says_its_version_order_and_duplicates() {
    let gateway = start().await;
    let file = gateway.tree.file("hello");
    let root = gateway.tree.directory(&[("f", file)]);
    let car = "application/vnd.ipld.car";
    for (query, accept, duplicates) in [
        ("?format=car", String::new(), "n"),
        ("", car.to_owned(), "n"),
        ("", format!("{car}; version=1; order=dfs; dups=y"), "y"),
        (
            "?format=car&car-dups=y&car-version=1&car-order=dfs",
            String::new(),
            "y",
        ),
    ] {
        let response = gateway
            .with(&format!("/ipfs/{root}/f{query}"), &[("accept", &accept)])
            .await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), "a car");
        let media_type = format!("{car}; version=1; order=dfs; dups={duplicates}");
        assert_eq!(header(&response, "content-type"), media_type);
        assert_eq!(header(&response, "accept-ranges"), "none");
        let disposition = format!("attachment; filename=\"{file}.car\"");
        assert_eq!(header(&response, "content-disposition"), disposition);
        assert!(header(&response, "etag").starts_with(&format!("W/\"{root}.car.all.")));
        let request = gateway.tree.car.lock().take().unwrap();
        assert_eq!(
            (request.root, request.names, request.scope),
            (root, vec!["f".to_owned()], Scope::All)
        );
        assert_eq!(request.duplicates == Duplicates::Sent, duplicates == "y");
    }
    for refused in ["version=2", "order=bfs", "dups=x"] {
        let response = gateway
            .with(
                &format!("/ipfs/{root}"),
                &[("accept", &format!("{car};{refused}"))],
            )
            .await;
        assert_eq!(response.status(), 406, "{refused}");
    }
}

#[tokio::test]
async fn a_car_has_the_scope_and_the_bytes_that_were_asked_for() {
    let gateway = start().await;
    let file = gateway.tree.file("hello");
    let directory = gateway.tree.directory(&[]);
    let asked = async |cid, query: &str| {
        let response = gateway
            .get(&format!("/ipfs/{cid}?format=car&{query}"))
            .await;
        assert_eq!(response.status(), 200, "{query}");
        let request = gateway.tree.car.lock().take().unwrap();
        (request.scope, request.bytes)
    };
    assert_eq!(asked(file, "dag-scope=block").await, (Scope::Block, None));
    assert_eq!(asked(file, "dag-scope=entity").await, (Scope::Entity, None));
    assert_eq!(asked(file, "dag-scope=all").await, (Scope::All, None));
    let bytes = Some(EntityBytes {
        from: 1,
        to: Some(-2),
    });
    assert_eq!(
        asked(file, "entity-bytes=1:-2").await,
        (Scope::Entity, bytes)
    );
    // Of a directory, the parameter is ignored.
    assert_eq!(
        asked(directory, "entity-bytes=9:*").await,
        (Scope::Entity, None)
    );
    for wrong in ["dag-scope=x", "entity-bytes=x", "entity-bytes=5:*"] {
        let response = gateway
            .get(&format!("/ipfs/{file}?format=car&{wrong}"))
            .await;
        assert_eq!(response.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn forms_that_the_gateway_does_not_make_are_refused() {
    let gateway = start().await;
    let file = gateway.tree.file("hello");
    for (query, status) in [
        ("format=tar", 406),
        ("format=json", 406),
        ("format=dag-cbor", 406),
        ("format=ipns-record", 400),
        ("format=zip", 400),
        ("format=json&filename=a.json", 200),
    ] {
        let response = gateway.get(&format!("/ipfs/{file}?{query}")).await;
        assert_eq!(response.status(), status, "{query}");
    }
}

#[tokio::test]
async fn a_trustless_gateway_gives_blocks_and_cars_alone() {
    let gateway = start().await;
    let tree = &gateway.tree;
    let file = tree.file("hello");
    let root = tree.directory(&[("f", file)]);
    let remote = tree.remote(b"x");
    let raw = "application/vnd.ipld.raw";
    for (path, accept, status) in [
        (format!("/ipfs/{file}?format=raw"), None, 200),
        (format!("/ipfs/{file}"), Some(raw), 200),
        (format!("/ipfs/{root}/f?format=car"), None, 200),
        (
            format!("/ipfs/{root}/f"),
            Some("application/vnd.ipld.car"),
            200,
        ),
        (format!("/ipfs/{root}/f?format=raw"), None, 400),
        (format!("/ipfs/{file}"), None, 400),
        (format!("/ipfs/{file}"), Some("text/html, */*"), 406),
        (format!("/ipfs/{file}?format=tar"), None, 406),
        (format!("/ipfs/{root}/"), Some("*/*"), 406),
        (format!("/ipfs/{remote}?format=raw"), None, 404),
        ("/ipfs/x?format=raw".to_owned(), None, 400),
    ] {
        let (answered, body) = trustless(tree, &path, accept).await;
        assert_eq!(answered, status, "{path} {accept:?}: {body}");
    }
    let (_, body) = trustless(tree, &format!("/ipfs/{file}"), Some("*/*")).await;
    assert!(body.contains("a gateway of your own"), "{body}");
}
