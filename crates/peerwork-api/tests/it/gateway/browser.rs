//! Pages of strangers in a real browser.
//!
//! `cargo xtask test` installs the browser and the library that controls it, and sets
//! `PEERWORK_TEST_BROWSER` and `PEERWORK_TEST_JS`. Without these variables the test is skipped.

use super::start;

/// A GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_stranger_runs_no_script_and_loads_only_its_own_files() {
    let Some((folder, browser)) = crate::page::tools() else {
        return;
    };
    let gateway = start().await;
    let tree = &gateway.tree;
    let other = tree.file(PIXEL);
    let page = format!(
        "<!doctype html><title>written by hand</title><link rel=stylesheet href=style.css>\
         <h1>x</h1><img id=own src=own.gif><img id=other src=/ipfs/{other}>\
         <img src=http://elsewhere.invalid/x.gif><script src=script.js></script>\
         <script>document.title = 'written by a script'</script>"
    );
    let long = "a rather long name ".repeat(8);
    let site = tree.directory(&[
        ("page.html", tree.file(page)),
        ("own.gif", tree.file(PIXEL)),
        ("style.css", tree.file("h1 { color: rgb(1, 2, 3) }")),
        (
            "script.js",
            tree.file("document.title = 'written by a script'"),
        ),
        (&long, other),
        (&"x".repeat(200), other),
        ("<b>bold</b> & \u{202e}gpj.exe", other),
    ]);
    let mut command = tokio::process::Command::new("node");
    command
        .arg(folder.join("gateway.mjs"))
        .arg(browser)
        .arg(format!("http://{}/ipfs/{site}/", gateway.address));
    command.args(std::env::var_os("PEERWORK_TEST_PICTURES"));
    let output = command.output().await.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("all passed"),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
