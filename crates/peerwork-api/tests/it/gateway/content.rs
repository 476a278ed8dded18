//! Files, directories and symlinks: their types, caching, redirects, and what browsers may do with them.

use hyper::Method;

use super::{header, start};

const IMMUTABLE: &str = "public, max-age=29030400, immutable";

#[tokio::test]
async fn a_file_is_served_by_its_path_with_type_etag_and_roots() {
    let gateway = start().await;
    let file = gateway.tree.file("body{}");
    let inner = gateway.tree.directory(&[("ą b.css", file)]);
    let root = gateway.tree.directory(&[("d", inner)]);
    let response = gateway.get(&format!("/ipfs/{root}/d/%C4%85%20b.css")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), "body{}");
    for (name, value) in [
        ("content-type", "text/css; charset=utf-8".to_owned()),
        ("content-length", "6".to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("etag", format!("\"{file}\"")),
        ("cache-control", IMMUTABLE.to_owned()),
        ("x-ipfs-path", format!("/ipfs/{root}/d/%C4%85%20b.css")),
        ("x-ipfs-roots", format!("{root},{inner},{file}")),
        ("content-disposition", String::new()),
        ("vary", "Accept".to_owned()),
    ] {
        assert_eq!(header(&response, name), value, "{name}");
    }
    assert_eq!(
        gateway.metric(
            r#"peerwork_api_requests_total{contract="gateway",method="file",outcome="ok"}"#
        ),
        Some(1.0)
    );
    assert_eq!(
        gateway.metric("peerwork_api_gateway_bytes_total"),
        Some(6.0)
    );
}

#[tokio::test]
async fn files_without_a_telling_name_get_the_type_of_their_content() {
    let gateway = start().await;
    for (content, media_type) in [
        (&b"hello"[..], "text/plain; charset=utf-8"),
        (
            b"<!doctype html><script>alert(1)</script>",
            "text/html; charset=utf-8",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\0\x01\x02", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ] {
        let path = format!("/ipfs/{}", gateway.tree.file(content));
        for response in [gateway.get(&path).await, gateway.head(&path).await] {
            assert_eq!(header(&response, "content-type"), media_type);
            assert_eq!(
                header(&response, "content-length"),
                content.len().to_string()
            );
        }
        let named = gateway.get(&format!("{path}?filename=a.pdf")).await;
        assert_eq!(header(&named, "content-type"), "application/pdf");
    }
}

#[tokio::test]
async fn every_answer_is_sandboxed_and_no_cookie_is_set() {
    let gateway = start().await;
    let file = gateway.tree.file("<p>x");
    let directory = gateway.tree.directory(&[("a.html", file)]);
    for path in [
        format!("/ipfs/{file}"),
        format!("/ipfs/{directory}/"),
        format!("/ipfs/{directory}/a.html"),
        format!("/ipfs/{directory}"),
        format!("/ipfs/{file}?format=raw"),
        format!("/ipfs/{file}?format=car"),
        "/ipfs/nothing".to_owned(),
        "/".to_owned(),
    ] {
        let response = gateway.with(&path, &[("cookie", "a=b")]).await;
        let policy = header(&response, "content-security-policy");
        assert!(policy.starts_with("sandbox"), "{path}: {policy}");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        for allowed in ["allow-scripts", "allow-same-origin", "script-src"] {
            assert!(!policy.contains(allowed), "{path}: {policy}");
        }
        assert_eq!(
            header(&response, "x-content-type-options"),
            "nosniff",
            "{path}"
        );
        assert_eq!(
            header(&response, "referrer-policy"),
            "no-referrer",
            "{path}"
        );
        assert_eq!(
            header(&response, "cross-origin-resource-policy"),
            "cross-origin",
            "{path}"
        );
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            "*",
            "{path}"
        );
        assert!(!response.headers().contains_key("set-cookie"), "{path}");
    }
    let policy = gateway.get(&format!("/ipfs/{directory}/a.html")).await;
    let own = format!("{}/ipfs/{directory}/", gateway.address);
    let policy = header(&policy, "content-security-policy");
    assert!(policy.contains(&format!("{own} data:")), "{policy}");
}

#[tokio::test]
async fn a_directory_redirects_to_its_slash_and_keeps_the_query() {
    let gateway = start().await;
    let inner = gateway.tree.directory(&[]);
    let root = gateway.tree.directory(&[("ą", inner)]);
    let response = gateway.get(&format!("/ipfs/{root}/ą?x=1&filename=a")).await;
    assert_eq!(response.status(), 301);
    let location = format!("/ipfs/{root}/%C4%85/?x=1&filename=a");
    assert_eq!(header(&response, "location"), location);
    assert_eq!(gateway.get(&location).await.status(), 200);
    let file = gateway.tree.file("x");
    let response = gateway.get(&format!("/ipfs/{file}/")).await;
    assert_eq!(header(&response, "location"), format!("/ipfs/{file}"));
}

#[tokio::test]
async fn a_directory_with_an_index_is_shown_by_it() {
    let gateway = start().await;
    let index = gateway.tree.file("<h1>home</h1>");
    let root = gateway.tree.directory(&[("index.html", index)]);
    let response = gateway.get(&format!("/ipfs/{root}/")).await;
    assert_eq!(response.body(), "<h1>home</h1>");
    assert_eq!(
        header(&response, "content-type"),
        "text/html; charset=utf-8"
    );
    assert_eq!(header(&response, "etag"), format!("\"{root}\""));
    assert_eq!(header(&response, "x-ipfs-roots"), root.to_string());
    assert_eq!(header(&response, "cache-control"), IMMUTABLE);
    // An index.html that is a directory is no index.
    let strange = gateway.tree.directory(&[("index.html", root)]);
    let response = gateway.get(&format!("/ipfs/{strange}/")).await;
    assert!(header(&response, "etag").starts_with("\"DirIndex-"));
}

#[tokio::test]
async fn a_client_that_has_the_content_gets_304() {
    let gateway = start().await;
    let file = gateway.tree.file("x");
    let root = gateway.tree.directory(&[("f", file)]);
    for (path, etag) in [
        (format!("/ipfs/{file}"), format!("\"{file}\"")),
        (format!("/ipfs/{file}"), format!("\"a\", W/\"{file}\"")),
        (format!("/ipfs/{file}"), "*".to_owned()),
        (
            format!("/ipfs/{file}?format=raw"),
            format!("\"{file}.raw\""),
        ),
    ] {
        let response = gateway.with(&path, &[("if-none-match", &etag)]).await;
        assert_eq!(response.status(), 304, "{path} {etag}");
        assert!(response.body().is_empty());
        assert!(!header(&response, "etag").is_empty());
    }
    for path in [format!("/ipfs/{root}/"), format!("/ipfs/{root}?format=car")] {
        let first = gateway.get(&path).await;
        let etag = header(&first, "etag");
        let response = gateway.with(&path, &[("if-none-match", etag)]).await;
        assert_eq!(response.status(), 304, "{path}");
    }
    let other = gateway
        .with(&format!("/ipfs/{file}"), &[("if-none-match", "\"other\"")])
        .await;
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn a_file_can_be_named_and_downloaded() {
    let gateway = start().await;
    let file = gateway.tree.file("x");
    let root = gateway.tree.directory(&[("a.txt", file)]);
    for (query, expected) in [
        (
            "filename=b%22.txt",
            "inline; filename=\"b_.txt\"; filename*=UTF-8''b%22.txt",
        ),
        ("download=true", "attachment; filename=\"a.txt\""),
        (
            "download=true&filename=c.txt",
            "attachment; filename=\"c.txt\"",
        ),
        ("download=false", ""),
    ] {
        let response = gateway.get(&format!("/ipfs/{root}/a.txt?{query}")).await;
        assert_eq!(
            header(&response, "content-disposition"),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_symlink_is_served_as_the_path_that_it_names() {
    let gateway = start().await;
    let link = gateway.tree.symlink("../../etc/passwd");
    let root = gateway.tree.directory(&[("link", link)]);
    let response = gateway.get(&format!("/ipfs/{root}/link")).await;
    assert_eq!(response.body(), "../../etc/passwd");
    assert_eq!(header(&response, "content-type"), "inode/symlink");
    assert_eq!(
        gateway.get(&format!("/ipfs/{root}/link/x")).await.status(),
        404
    );
}

#[tokio::test]
async fn pages_of_other_origins_may_read_and_preflight() {
    let gateway = start().await;
    let file = gateway.tree.file("x");
    let path = format!("/ipfs/{file}");
    for method in [Method::OPTIONS, Method::GET] {
        let headers = [
            ("origin", "https://example.org"),
            ("access-control-request-private-network", "true"),
        ];
        let response = gateway.ask(method, &path, &headers).await;
        assert!(response.status().is_success());
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        assert_eq!(
            header(&response, "access-control-allow-methods"),
            "GET, HEAD, OPTIONS"
        );
        for name in ["Content-Type", "Range", "User-Agent", "X-Requested-With"] {
            assert!(header(&response, "access-control-allow-headers").contains(name));
        }
        for name in [
            "Content-Range",
            "Content-Length",
            "X-Ipfs-Path",
            "X-Ipfs-Roots",
        ] {
            assert!(header(&response, "access-control-expose-headers").contains(name));
        }
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-private-network")
        );
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-credentials")
        );
    }
}

#[tokio::test]
async fn a_block_of_another_codec_is_served_under_its_own_type() {
    let gateway = start().await;
    for (codec, name, media_type) in [
        (0x0200, "json", "application/json"),
        (0x51, "cbor", "application/cbor"),
        (0x0129, "dag-json", "application/vnd.ipld.dag-json"),
        (0x71, "dag-cbor", "application/vnd.ipld.dag-cbor"),
    ] {
        let block = gateway.tree.block(codec, b"{}");
        for query in ["", &format!("?format={name}")] {
            let response = gateway.get(&format!("/ipfs/{block}{query}")).await;
            assert_eq!(header(&response, "content-type"), media_type);
            assert_eq!(response.body(), "{}");
        }
        assert_eq!(gateway.get(&format!("/ipfs/{block}/a")).await.status(), 501);
    }
    let unknown = gateway.tree.block(0x78, b"x");
    let refused = gateway.get(&format!("/ipfs/{unknown}")).await;
    assert_eq!(refused.status(), 406);
    assert!(String::from_utf8_lossy(refused.body()).contains("?format=raw"));
    assert_eq!(
        gateway
            .get(&format!("/ipfs/{unknown}?format=raw"))
            .await
            .body(),
        "x"
    );
}
