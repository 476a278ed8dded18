//! Requests to an app's own port whose login is over: the answers to forms, and to the scripts of pages.

use crate::desk::{Desk, with_relay_key};

#[tokio::test]
async fn a_form_that_was_not_passed_on_is_answered_by_a_page_that_says_so() {
    let desk = Desk::new();
    let (_world, base, _store, key) = with_relay_key(&desk).await;
    let url = format!("{base}/echo");
    let answer = desk.visit(&url, &["-d", "text=long"]).await;
    assert_eq!(answer.status, 401);
    for part in [
        "has not reached the app",
        " target=\"_blank\"",
        "name=\"to\" value=\"/\"",
    ] {
        assert!(answer.body.contains(part), "{part} in {}", answer.body);
    }
    assert_eq!(desk.log_in(&base, &key.secret, &[]).await.status, 303);
    let again = desk.visit(&url, &["-d", "text=long"]).await;
    assert_eq!((again.status, again.body.as_str()), (200, "text=long"));
    // A page that reads, and a script that sends, get what they got.
    desk.forget_cookies();
    let read = desk.visit(&url, &[]).await;
    assert!(!read.body.contains("has not reached"), "{}", read.body);
    let script = desk.curl(&url, &["-d", "x"]).await;
    assert_eq!(script.all("content-type"), ["application/problem+json"]);
}

/// By plain HTTP to other machines, browsers send neither `Sec-Fetch-Site` nor, with GET, `Origin`.
#[tokio::test]
async fn no_browser_is_offered_basic_authentication() {
    let desk = Desk::new();
    let (_world, base, _store, _key) = with_relay_key(&desk).await;
    let offered = async |agent: &str| {
        let answer = desk.curl(&format!("{base}/echo"), &["-A", agent]).await;
        assert_eq!(answer.status, 401);
        answer.head.contains("\nwww-authenticate: basic ")
    };
    assert!(offered("curl/8").await);
    assert!(
        !offered("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0").await
    );
}
