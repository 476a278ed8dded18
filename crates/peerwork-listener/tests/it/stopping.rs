//! These tests stop a port gracefully: it accepts no further connections, and requests in progress
//! finish or are aborted.

use std::{sync::atomic::Ordering, time::Duration};

use peerwork_listener::{Stopped, Wire};
use peerwork_testkit::{eventually, eventually_async};
use tokio::{net::TcpStream, time::timeout};

use crate::port::{PATIENCE, Port, SHORT, rest};

const HELD: &[u8] = b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n";

async fn request_arrived(port: &Port) {
    eventually("the request to arrive", || {
        (port.service.requests.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_under_way_finish_and_idle_connections_end_at_once() {
    let port = Port::start(Wire::Both, |_| ()).await;
    let held = port.raw(HELD).await;
    request_arrived(&port).await;
    let kept = port.proven("").await;
    let silent = port.raw(b"").await;
    port.open_becomes(3).await;
    let lifetime = port.lifetime.clone();
    let stopping = tokio::spawn(async move { lifetime.stop(PATIENCE).await });
    rest(kept).await;
    rest(silent).await;
    eventually_async("the port to accept no further connections", || async {
        TcpStream::connect(port.address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    assert!(!stopping.is_finished());
    port.service.go.notify_one();
    assert!(rest(held).await.starts_with("HTTP/1.1 200"));
    let stopped = timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert_eq!(stopped, Stopped::Drained);
    assert_eq!(port.counters.open.get(), 0);
}

#[tokio::test]
async fn requests_that_outlive_the_deadline_are_cut() {
    for deadline in [Duration::ZERO, SHORT] {
        let port = Port::start(Wire::Both, |_| ()).await;
        let held = port.raw(HELD).await;
        request_arrived(&port).await;
        assert_eq!(port.lifetime.stop(deadline).await, Stopped::Cut);
        assert_eq!(rest(held).await, "");
        assert_eq!(port.counters.open.get(), 0);
    }
}
