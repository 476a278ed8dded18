//! Ranges of files and of blocks.

use hyper::Method;

use super::{header, start};

const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";

#[tokio::test]
async fn one_range_is_a_206_with_its_bytes() {
    let gateway = start().await;
    let file = gateway.tree.file(ALPHABET);
    let root = gateway.tree.directory(&[("a.txt", file)]);
    for (path, media_type) in [
        (format!("/ipfs/{root}/a.txt"), "text/plain; charset=utf-8"),
        (format!("/ipfs/{file}"), "text/plain; charset=utf-8"),
        (
            format!("/ipfs/{file}?format=raw"),
            "application/vnd.ipld.raw",
        ),
    ] {
        for (range, content_range, body) in [
            ("bytes=2-4", "bytes 2-4/26", "cde"),
            ("bytes=-3", "bytes 23-25/26", "xyz"),
            ("bytes=24-", "bytes 24-25/26", "yz"),
            ("bytes=0-0,99-", "bytes 0-0/26", "a"),
        ] {
            let response = gateway.with(&path, &[("range", range)]).await;
            assert_eq!(response.status(), 206, "{path} {range}");
            assert_eq!(header(&response, "content-range"), content_range);
            assert_eq!(header(&response, "content-length"), body.len().to_string());
            assert_eq!(header(&response, "content-type"), media_type);
            assert_eq!(response.body(), body);
        }
    }
}

#[tokio::test]
async fn several_ranges_are_a_multipart_body() {
    let gateway = start().await;
    let path = format!("/ipfs/{}", gateway.tree.file(ALPHABET));
    let response = gateway.with(&path, &[("range", "bytes=6-8,0-1")]).await;
    assert_eq!(response.status(), 206);
    let media_type = header(&response, "content-type");
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |range: &str, bytes: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/26\r\n\r\n{bytes}"
        )
    };
    let expected = format!(
        "{}{}\r\n--{boundary}--\r\n",
        part("6-8", "ghi"),
        part("0-1", "ab")
    );
    assert_eq!(response.body(), &expected);
    assert_eq!(
        header(&response, "content-length"),
        expected.len().to_string()
    );
}

#[tokio::test]
async fn ranges_outside_the_file_get_416_with_its_size() {
    let gateway = start().await;
    let path = format!("/ipfs/{}", gateway.tree.file(ALPHABET));
    let response = gateway.with(&path, &[("range", "bytes=26-")]).await;
    assert_eq!(response.status(), 416);
    assert_eq!(header(&response, "content-range"), "bytes */26");
    for ignored in ["bytes=x", "lines=1-2", "bytes=5-2", "bytes=0-25,0-25"] {
        let response = gateway.with(&path, &[("range", ignored)]).await;
        assert_eq!(response.status(), 200, "{ignored}");
        assert_eq!(response.body(), ALPHABET);
    }
    let empty = format!("/ipfs/{}", gateway.tree.file(""));
    assert_eq!(
        gateway
            .with(&empty, &[("range", "bytes=0-9")])
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn a_range_counts_only_for_the_file_that_if_range_names() {
    let gateway = start().await;
    let file = gateway.tree.file(ALPHABET);
    let path = format!("/ipfs/{file}");
    for (if_range, status) in [
        (format!("\"{file}\""), 206),
        (format!("W/\"{file}\""), 200),
        ("\"other\"".to_owned(), 200),
        ("Sat, 28 Nov 2026 10:00:00 GMT".to_owned(), 200),
    ] {
        let headers = [("range", "bytes=0-1"), ("if-range", &if_range)];
        assert_eq!(
            gateway.with(&path, &headers).await.status(),
            status,
            "{if_range}"
        );
    }
    // A range has no meaning for HEAD (RFC 9110 section 14.2).
    let head = gateway
        .ask(Method::HEAD, &path, &[("range", "bytes=0-1")])
        .await;
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, "26")
    );
}
