//! The page of a directory.

use super::{header, start};

#[tokio::test]
async fn a_directory_is_a_page_of_its_names_sizes_and_cids() {
    let gateway = start().await;
    let file = gateway.tree.file("x");
    let inner = gateway
        .tree
        .directory(&[("file-źł.txt", file), ("b", file)]);
    let root = gateway.tree.directory(&[("ą", inner)]);
    let response = gateway.get(&format!("/ipfs/{root}/ą/")).await;
    assert_eq!(
        header(&response, "content-type"),
        "text/html; charset=utf-8"
    );
    assert_eq!(
        header(&response, "etag"),
        format!("\"DirIndex-1_CID-{inner}\"")
    );
    assert_eq!(
        header(&response, "cache-control"),
        "public, max-age=604800, stale-while-revalidate=2678400"
    );
    assert_eq!(header(&response, "x-ipfs-roots"), format!("{root},{inner}"));
    let page = String::from_utf8(response.body().to_vec()).unwrap();
    for expected in [
        format!(
            "Index of /ipfs/<a href=\"/ipfs/{root}\">{root}</a>/<a href=\"/ipfs/{root}/%C4%85\"><bdi>ą</bdi></a>"
        ),
        format!("<a href=\"/ipfs/{root}/%C4%85/..\">..</a>"),
        format!("<a href=\"/ipfs/{root}/%C4%85/file-%C5%BA%C5%82.txt\"><bdi>file-źł.txt</bdi></a>"),
        format!("title=\"{file}\" href=\"/ipfs/{file}"),
        format!("<p>CID <code>{inner}</code></p>"),
        format!("href=\"/ipfs/{file}?filename=file-%C5%BA%C5%82.txt\""),
        "title=\"1234 bytes\">1.2 KiB<".to_owned(),
    ] {
        assert!(page.contains(&expected), "{expected}\n{page}");
    }
    let top = gateway.get(&format!("/ipfs/{root}/")).await;
    let top = String::from_utf8_lossy(top.body());
    assert!(!top.contains(">..</a>"));
    // The path of a root is its CID.
    assert!(!top.contains("<p>CID "), "{top}");
}

#[tokio::test]
async fn names_of_strangers_stay_text() {
    let gateway = start().await;
    let file = gateway.tree.file("x");
    let hostile = "\"><script>alert(1)</script>'&\u{202e}";
    let inner = gateway.tree.directory(&[(hostile, file)]);
    let root = gateway.tree.directory(&[(hostile, inner)]);
    let escaped = "%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%27&%E2%80%AE";
    assert_eq!(
        gateway
            .get(&format!("/ipfs/{root}/{escaped}/"))
            .await
            .status(),
        400,
        "a slash"
    );
    let response = gateway.get(&format!("/ipfs/{root}/")).await;
    let page = String::from_utf8(response.body().to_vec()).unwrap();
    assert!(!page.contains("<script"), "{page}");
    assert!(
        page.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&amp;\\u{202e}"),
        "{page}"
    );
    assert!(
        page.contains(&format!("href=\"/ipfs/{root}/{escaped}\"")),
        "{page}"
    );
}

#[tokio::test]
async fn a_directory_of_a_million_entries_is_shown_in_pages() {
    let gateway = start().await;
    let huge = gateway.tree.huge(1_000_000);
    let page = async |query: &str| {
        let response = gateway.get(&format!("/ipfs/{huge}/{query}")).await;
        assert_eq!(response.status(), 200);
        String::from_utf8(response.body().to_vec()).unwrap()
    };
    let first = page("").await;
    assert_eq!(first.matches("class=\"ipfs-hash\"").count(), 1000);
    assert!(
        first.contains("Page 1: 1000 entries.") && first.contains("?page=2\">Next page"),
        "{first}"
    );
    // A reader need not pass all entries to turn the page.
    let table = first.find("<table>").unwrap();
    assert!(first.find("Next page").unwrap() < table, "{first}");
    assert!(first.rfind("Next page").unwrap() > table, "{first}");
    assert!(first.len() < 1024 * 1024);
    let last = page("?page=1000").await;
    assert!(
        last.contains(">0999999<") && last.contains("?page=999\">Previous page"),
        "{last}"
    );
    assert!(!last.contains("Next page"));
    let beyond = gateway.get(&format!("/ipfs/{huge}/?page=1001")).await;
    assert_eq!(beyond.status(), 400);
    let exact = gateway.tree.huge(1000);
    let exact = gateway.get(&format!("/ipfs/{exact}/")).await;
    assert!(!String::from_utf8_lossy(exact.body()).contains("Next page"));
}
