//! Files, folders, symlinks, sharded folders, and blocks of other codecs.

use super::{add, content, put, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_served_as_it_was_added() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("site");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    let large = content(700_000);
    std::fs::write(root.join("sub/large.bin"), &large).unwrap();
    std::fs::write(root.join("hello.txt"), "hello\n").unwrap();
    std::fs::write(root.join("empty"), "").unwrap();
    std::os::unix::fs::symlink("hello.txt", root.join("link")).unwrap();
    let gateway = serve().await;
    let cid = add(&gateway.stores.local, &root);

    let response = gateway.get(&format!("/ipfs/{cid}/hello.txt")).await;
    assert_eq!(response.body(), "hello\n");
    // The CID that `ipfs add` gives to this content.
    let etag = "\"QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN\"";
    assert_eq!(response.headers()["etag"], etag);
    assert_eq!(gateway.get(&format!("/ipfs/{cid}/empty")).await.body(), "");
    assert_eq!(
        gateway.get(&format!("/ipfs/{cid}/link")).await.body(),
        "hello.txt"
    );

    let path = format!("/ipfs/{cid}/sub/large.bin");
    let whole = gateway.get(&path).await;
    assert!(whole.body() == &large[..], "the file changed");
    for (range, from, to) in [
        ("bytes=262140-262150", 262_140, 262_151),
        ("bytes=-5", 699_995, 700_000),
    ] {
        let part = gateway.with(&path, &[("range", range)]).await;
        assert_eq!(part.status(), 206);
        assert_eq!(part.body(), &large[from..to]);
    }
    let listing = gateway.get(&format!("/ipfs/{cid}/")).await;
    let page = String::from_utf8(listing.body().to_vec()).unwrap();
    for name in ["empty", "hello.txt", "link", "sub"] {
        assert!(
            page.contains(&format!("<bdi>{name}</bdi></a>")),
            "{name}: {page}"
        );
    }
    assert_eq!(
        gateway
            .get(&format!("/ipfs/{cid}/hello.txt/x"))
            .await
            .status(),
        404
    );
    assert_eq!(
        gateway.get(&format!("/ipfs/{cid}/sub/none")).await.status(),
        404
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sharded_folder_is_found_by_names_and_listed_in_pages() {
    const FILES: usize = 7000;
    let folder = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        std::fs::write(
            folder.path().join(format!("{number:08}")),
            number.to_string(),
        )
        .unwrap();
    }
    let gateway = serve().await;
    let cid = add(&gateway.stores.local, folder.path());
    let root = gateway.get(&format!("/ipfs/{cid}?format=raw")).await;
    assert!(root.body().len() < 64 * 1024, "the folder is not sharded");
    for number in [0, 4242, FILES - 1] {
        let response = gateway.get(&format!("/ipfs/{cid}/{number:08}")).await;
        assert_eq!(response.body(), &number.to_string());
    }
    assert_eq!(
        gateway.get(&format!("/ipfs/{cid}/none")).await.status(),
        404
    );
    let mut names = Vec::new();
    for page in 1..=FILES / 1000 {
        let response = gateway.get(&format!("/ipfs/{cid}/?page={page}")).await;
        let page = String::from_utf8(response.body().to_vec()).unwrap();
        let rows = page.split("<td class=\"name\"><a href=\"").skip(1);
        names.extend(rows.map(|row| row.split(['"', '/']).nth(3).unwrap().to_owned()));
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), FILES);
}

#[tokio::test]
async fn blocks_of_other_codecs_are_served_as_they_are() {
    let gateway = serve().await;
    let store = &gateway.stores.local;
    let cbor = put(store, 0x71, &b"\xa0"[..]);
    let response = gateway.get(&format!("/ipfs/{cbor}")).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/vnd.ipld.dag-cbor"
    );
    assert_eq!(gateway.get(&format!("/ipfs/{cbor}/a")).await.status(), 501);
    assert_eq!(
        gateway
            .get(&format!("/ipfs/{cbor}?format=raw"))
            .await
            .body(),
        &b"\xa0"[..]
    );
    let other = put(store, 0x78, "x");
    assert_eq!(gateway.get(&format!("/ipfs/{other}")).await.status(), 406);
    let damaged = put(store, 0x70, "no protobuf");
    let refused = gateway.get(&format!("/ipfs/{damaged}")).await;
    assert_eq!(refused.status(), 404);
    assert!(String::from_utf8_lossy(refused.body()).contains(&damaged.to_string()));
    assert_eq!(
        gateway
            .get(&format!("/ipfs/{damaged}?format=raw"))
            .await
            .status(),
        200
    );
}
