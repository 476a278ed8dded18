//! These tests fill the places of a port: in all, by network address, and with connections that
//! send no request.

use peerwork_listener::{Config, Proxies, Wire};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::port::{PATIENCE, Port, get, rest};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn proxied(client: &str) -> String {
    format!("PROXY TCP4 {client} 127.0.0.1 4711 443\r\n")
}

async fn behind_proxy(connections_max: usize, per_address: usize) -> Port {
    Port::start(Wire::Both, |config| {
        config.bounds.connections_max = connections_max;
        config.bounds.connections_per_address_max = per_address;
        config.preamble.proxies = Proxies::new(vec!["127.0.0.1/32".parse().unwrap()]);
        config.preamble.proxy_protocol = true;
    })
    .await
}

#[tokio::test]
async fn an_address_holds_its_share_and_others_theirs() {
    let port = behind_proxy(100, 2).await;
    let (mine, other) = (proxied("192.0.2.1"), proxied("192.0.2.2"));
    let first = port.proven(&mine).await;
    let _second = port.proven(&mine).await;
    let refused = port.all(&format!("{mine}{REQUEST}")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    let served = port.all(&format!("{other}{REQUEST}")).await;
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
    assert_eq!(port.counters.refused.get(), 1);
    drop(first);
    port.open_becomes(1).await;
    let served = port.all(&format!("{mine}{REQUEST}")).await;
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
}

#[tokio::test]
async fn an_idle_flood_from_this_machine_at_the_limit_shuts_no_caller_out() {
    let port = behind_proxy(4, 4).await;
    let mut flood = Vec::new();
    // Two kinds of unproven connections: silent sockets, and sockets that sent only a PROXY header.
    for count in 0..4 {
        let sent = proxied(&format!("198.51.100.{count}"));
        let sent = if count % 2 == 0 { "" } else { &sent };
        flood.push(port.raw(sent.as_bytes()).await);
    }
    port.open_becomes(4).await;
    let callers = [proxied("192.0.2.1"), proxied("192.0.2.2")];
    for caller in callers.iter().cycle().take(10) {
        let served = port.all(&format!("{caller}{REQUEST}")).await;
        assert!(served.starts_with("HTTP/1.1 200"), "{served}");
        flood.push(port.raw(b"").await);
    }
    assert!(port.counters.open.get() <= 5);
}

#[tokio::test]
async fn a_caller_above_the_limit_gets_503_at_once_also_while_it_still_sends() {
    let port = Port::start(Wire::Http1, |config| config.bounds.connections_max = 2).await;
    let first = port.proven("").await;
    let _second = port.proven("").await;
    for _ in 0..20 {
        let mut caller = port.raw(REQUEST.as_bytes()).await;
        // Request bytes that the port does not read must not turn the answer into a TCP reset.
        let _ = caller.write_all(&[b'x'; 16 * 1024]).await;
        let answer = rest(caller).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
    }
    assert_eq!(port.counters.refused.get(), 20);
    drop(first);
    port.open_becomes(1).await;
    assert_eq!(get(port.address, &[]).await, "127.0.0.1 http HTTP/1.1");
}

#[tokio::test]
async fn callers_on_this_machine_have_further_places() {
    let port = Port::start(Wire::Http1, |config| {
        config.bounds.connections_max = 1;
        config.bounds.local_places = 1;
    })
    .await;
    let _held = port.proven("").await;
    let _local = port.proven("").await;
    assert!(port.all(REQUEST).await.starts_with("HTTP/1.1 503"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_flood_of_callers_all_places_are_free() {
    let port = behind_proxy(16, 4).await;
    let address = port.address;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..200 {
        let sent = format!("{}{REQUEST}", proxied(&format!("192.0.2.{}", number % 50)));
        callers.spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            stream.write_all(sent.as_bytes()).await?;
            let mut answer = Vec::new();
            let read = stream.read_to_end(&mut answer);
            tokio::time::timeout(PATIENCE, read).await??;
            std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
        });
    }
    let outcomes = callers.join_all().await;
    let served = outcomes.iter().filter(|o| matches!(o, Ok(true))).count();
    assert!(served > 0);
    port.open_becomes(0).await;
    let served = port
        .all(&format!("{}{REQUEST}", proxied("192.0.2.1")))
        .await;
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
}

#[tokio::test]
async fn ports_beside_each_other_share_their_places() {
    let port = Port::start(Wire::Both, |config| config.bounds.connections_max = 2).await;
    let further = port.beside(Wire::Both, Config::default()).await;
    let first = port.proven("").await;
    let _second = further.proven("").await;
    for full in [&port, &further] {
        let refused = full.all(REQUEST).await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    }
    assert_eq!(port.counters.refused.get(), 2);
    drop(first);
    port.open_becomes(1).await;
    let served = further.all(REQUEST).await;
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
    port.lifetime.cut().await;
    assert!(TcpStream::connect(further.address).await.is_err());
}
