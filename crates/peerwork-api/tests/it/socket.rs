//! These tests send requests and receive node events over the WebSocket.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use peerwork_api::events::NodeEvent;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _, http::header};

use crate::fake::{PATIENCE, Socket, call, named, start, start_json_rpc};

#[tokio::test]
async fn subscribe_with_a_null_filter_keeps_the_node_alive() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    let id = socket.subscribe(r#"["node",null]"#).await;
    running.publish(named("a"));
    assert_eq!(socket.json().await["params"]["subscription"], id);
    running.publish(named("b"));
    assert_eq!(socket.event_name().await, "b");
}

#[tokio::test]
async fn an_event_arrives_exactly_as_specified() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":""#;
    socket
        .send(call(
            "edge_subscribe",
            r#"["node",{"name":"","id":"","version":"","tag":""}]"#,
        ))
        .await;
    let reply = socket.text().await;
    let id = reply
        .strip_prefix(answer)
        .and_then(|rest| rest.strip_suffix(r#""}"#))
        .unwrap();
    let uuid = uuid::Uuid::parse_str(id).unwrap();
    assert_eq!((uuid.get_version_num(), uuid.to_string().as_str()), (4, id));
    running.publish(NodeEvent {
        name: "edge-1".into(),
        version: "v0.1.0".into(),
        peer_id: "16U".into(),
        ip_addr: "203.0.*.*".into(),
        mem_info: r#"{"total": 2, "free":1,"used_percent":50.000000}"#.into(),
        startup_time: 1_769_860_800_000,
        uptime: 30_000,
        relay_host: "203.0.113.9".into(),
        relay_proxy_port: 50005,
        ..NodeEvent::default()
    });
    let expected = concat!(
        r#"{"jsonrpc":"2.0","method":"edge_subscription","params":{"subscription":"<id>","result":"#,
        r#"{"Name":"edge-1","Tag":"","Version":"v0.1.0","PeerID":"16U","IpAddr":"203.0.*.*","#,
        r#""AppOrigin":"","ModelHash":"","Mac":"","#,
        r#""MemInfo":"{\"total\": 2, \"free\":1,\"used_percent\":50.000000}","#,
        r#""CpuInfo":"","GpuInfo":"","StartupTime":1769860800000,"Uptime":30000,"#,
        r#""GuageHeight":0,"GuageMax":0,"AveragePower":0,"RelayHost":"203.0.113.9","#,
        r#""RelayProxyPort":50005}}}"#
    );
    assert_eq!(socket.text().await, expected.replace("<id>", id));
}

#[tokio::test]
async fn filters_choose_by_exact_equality() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    let wanted = socket.subscribe(r#"["node",{"name":"b"}]"#).await;
    for name in ["a", "bb", "b"] {
        running.publish(named(name));
    }
    let event = socket.json().await;
    assert_eq!(event["params"]["subscription"], wanted);
    assert_eq!(event["params"]["result"]["Name"], "b");
}

#[tokio::test]
async fn every_open_form_of_the_filter_is_taken() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    for params in [r#"["node"]"#, r#"["node",null]"#, r#"["node",{}]"#] {
        socket.subscribe(params).await;
    }
    running.publish(named("a"));
    for _ in 0..3 {
        assert_eq!(socket.event_name().await, "a");
    }
    running
        .metric_becomes("peerwork_api_subscriptions", 3.0)
        .await;
}

#[tokio::test]
async fn errors_over_websocket_are_json() {
    let running = start_json_rpc(|config| config.limits.request_bytes_max = 1000).await;
    let mut socket = Socket::open(&running).await;
    for (text, code) in [
        ("hello".to_owned(), -32700),
        ("[]".to_owned(), -32600),
        ("{}".to_owned(), -32600),
        (call("edge_sendRawTelegram", r#"["0x00"]"#), -32601),
        (call("edge_subscribe", "[]"), -32602),
        (call("edge_subscribe", "{}"), -32602),
        (call("edge_subscribe", r#"["blocks"]"#), -32602),
        (call("edge_subscribe", r#"["node",5]"#), -32602),
        (call("edge_subscribe", r#"["node",[]]"#), -32602),
        (call("edge_subscribe", r#"["node",{"name":5}]"#), -32602),
        (call("edge_subscribe", r#"["node",{},1]"#), -32602),
        (call("edge_unsubscribe", "[]"), -32602),
        (format!("[{}]", vec!["1"; 21].join(",")), -32600),
        (" ".repeat(1001), -32600),
    ] {
        let answer = socket.ask(&text).await;
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
    }
    let answer = socket.ask(&call("edge_networkId", "[]")).await;
    assert_eq!(answer["result"], "0x3e8");
}

#[tokio::test]
async fn a_message_far_above_the_limit_ends_the_socket_and_nothing_else() {
    let running = start_json_rpc(|config| config.limits.request_bytes_max = 1000).await;
    let mut other = Socket::open(&running).await;
    other.subscribe(r#"["node"]"#).await;
    let mut socket = Socket::open(&running).await;
    socket.send(" ".repeat(2001)).await;
    let answer = socket.json().await;
    assert_eq!(answer["error"]["code"], -32600);
    assert!(matches!(
        socket.frame().await,
        Some(Message::Close(_)) | None
    ));
    running.publish(named("a"));
    assert_eq!(other.event_name().await, "a");
}

#[tokio::test]
async fn a_binary_request_gets_a_binary_answer() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    socket
        .0
        .send(Message::binary(call("edge_networkId", "[]").into_bytes()))
        .await
        .unwrap();
    let Some(Message::Binary(answer)) = socket.frame().await else {
        panic!("expected a binary frame");
    };
    assert_eq!(&answer[..], br#"{"jsonrpc":"2.0","id":1,"result":"0x3e8"}"#);
}

#[tokio::test]
async fn a_batch_over_the_socket_subscribes_and_answers_first() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    let subscribe = call("edge_subscribe", r#"["node"]"#);
    let answers = socket
        .ask(&format!("[{subscribe},{}]", call("edge_networkId", "[]")))
        .await;
    assert_eq!(answers[1]["result"], "0x3e8");
    running.publish(named("a"));
    let event = socket.json().await;
    assert_eq!(event["params"]["subscription"], answers[0]["result"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_removes_only_its_own_subscriptions() {
    let running = start(|_| ()).await;
    let (mut mine, mut other) = (Socket::open(&running).await, Socket::open(&running).await);
    let id = mine.subscribe(r#"["node"]"#).await;
    for method in ["edge_unsubscribe", "edge_uninstallFilter"] {
        let answer = other.ask(&call(method, &format!(r#"["{id}"]"#))).await;
        assert_eq!(answer["result"], false);
    }
    running.publish(named("a"));
    assert_eq!(mine.event_name().await, "a");
    for gone in [true, false] {
        let answer = mine
            .ask(&call("edge_unsubscribe", &format!(r#"["{id}"]"#)))
            .await;
        assert_eq!(answer["result"], gone);
    }
    let id = mine.subscribe(r#"["node",{"name":"z"}]"#).await;
    let answer = mine
        .ask(&call("edge_uninstallFilter", &format!(r#"["{id}"]"#)))
        .await;
    assert_eq!(answer["result"], true);
    let answer = mine
        .ask(&call("edge_unsubscribe", r#"["no id at all"]"#))
        .await;
    assert_eq!(answer["result"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_above_the_limit_is_refused() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    for _ in 0..64 {
        socket.subscribe(r#"["node"]"#).await;
    }
    let answer = socket.ask(&call("edge_subscribe", r#"["node"]"#)).await;
    assert_eq!(answer["error"]["code"], -32003, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_socket_leaves_no_subscription_behind() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    for _ in 0..3 {
        socket.subscribe(r#"["node"]"#).await;
    }
    drop(socket);
    running
        .metric_becomes("peerwork_api_subscriptions", 0.0)
        .await;
    running
        .metric_becomes(r#"peerwork_api_connections{listener="json-rpc"}"#, 0.0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_reaches_every_reader_that_keeps_up() {
    let running = start(|_| ()).await;
    let mut socket = Socket::open(&running).await;
    socket.subscribe(r#"["node"]"#).await;
    for number in 0..500 {
        running.publish(named(&number.to_string()));
    }
    for number in 0..500 {
        assert_eq!(socket.event_name().await, number.to_string());
    }
}

#[tokio::test]
async fn requests_faster_than_their_answers_are_read_lose_nothing() {
    let running = start_json_rpc(|config| config.limits.queue_max = 2).await;
    let mut socket = Socket::open(&running).await;
    for id in 0..2000 {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"edge_networkId"}}"#);
        socket.0.feed(Message::text(text)).await.unwrap();
    }
    socket.0.flush().await.unwrap();
    for id in 0..2000 {
        assert_eq!(socket.json().await["id"], id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_does_not_delay_others() {
    let running = start_json_rpc(|config| config.limits.queue_max = 4).await;
    let mut slow = Socket::open(&running).await;
    slow.subscribe(r#"["node"]"#).await;
    let mut quick = Socket::open(&running).await;
    quick.subscribe(r#"["node"]"#).await;
    let large = NodeEvent {
        cpu_info: "x".repeat(256 * 1024),
        ..NodeEvent::default()
    };
    // The slow client's socket buffers hold a few MiB; 1000 events of 256 KiB exceed any buffer
    // size.
    for number in 0..1000 {
        if running.metric("peerwork_api_slow_readers_total") == Some(1.0) {
            break;
        }
        let name = number.to_string();
        running.publish(NodeEvent {
            name: name.clone(),
            ..large.clone()
        });
        assert_eq!(quick.event_name().await, name);
    }
    assert_eq!(running.metric("peerwork_api_slow_readers_total"), Some(1.0));
    running
        .metric_becomes("peerwork_api_subscriptions", 1.0)
        .await;
    running.publish(named("last"));
    assert_eq!(quick.event_name().await, "last");
}

#[tokio::test]
async fn a_reader_that_stops_is_closed_after_the_write_deadline() {
    let running = start_json_rpc(|config| {
        config.limits.write_deadline = Duration::from_millis(50);
        config.limits.queue_max = 1000;
    })
    .await;
    let mut stuck = Socket::open(&running).await;
    stuck.subscribe(r#"["node"]"#).await;
    // The messages exceed the socket buffers by far, while their number stays far below the queue's
    // bound.
    for _ in 0..100 {
        running.publish(NodeEvent {
            cpu_info: "x".repeat(1024 * 1024),
            ..NodeEvent::default()
        });
    }
    running
        .metric_becomes("peerwork_api_slow_readers_total", 1.0)
        .await;
    running
        .metric_becomes("peerwork_api_subscriptions", 0.0)
        .await;
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let running = start_json_rpc(|c| c.limits.ping_interval = Duration::from_millis(40)).await;
    let mut socket = Socket::open(&running).await;
    // The time of 40 pings exceeds the silence after which a socket is closed.
    for _ in 0..40 {
        let frame = timeout(PATIENCE, socket.0.next()).await.unwrap();
        assert!(matches!(frame, Some(Ok(Message::Ping(_)))), "{frame:?}");
    }
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed() {
    let running = start_json_rpc(|c| c.limits.ping_interval = Duration::from_millis(10)).await;
    let mut socket = Socket::open(&running).await;
    socket.subscribe(r#"["node"]"#).await;
    running
        .metric_becomes("peerwork_api_subscriptions", 0.0)
        .await;
}

#[tokio::test]
async fn pages_of_unlisted_origins_may_not_connect() {
    let running = start_json_rpc(|c| c.cors_origins = vec!["https://a.example".into()]).await;
    let connect = async |origin: &str| {
        let url = format!("ws://{}/edge_ws", running.json_rpc());
        let mut request = url.into_client_request().unwrap();
        request
            .headers_mut()
            .insert(header::ORIGIN, origin.parse().unwrap());
        tokio_tungstenite::connect_async(request).await
    };
    assert!(connect("https://a.example").await.is_ok());
    let refused = connect("https://b.example").await.unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
}

#[tokio::test]
async fn a_plain_get_of_the_socket_path_is_refused() {
    let running = start(|_| ()).await;
    let response = crate::fake::get(running.json_rpc(), "/edge_ws").await;
    assert!(response.status().is_client_error());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_takes_a_place_among_the_connections() {
    let running = start_json_rpc(|config| config.http.bounds.connections_max = 1).await;
    let mut socket = Socket::open(&running).await;
    socket.subscribe(r#"["node"]"#).await;
    let url = format!("ws://{}/edge_ws", running.json_rpc());
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
    running.publish(named("a"));
    assert_eq!(socket.event_name().await, "a");
}

#[tokio::test]
async fn a_subscription_gets_the_known_nodes_that_match_and_then_the_changes() {
    let running = start_json_rpc(|config| config.limits.queue_max = 2).await;
    // More nodes than the socket's queue holds.
    *running.node.known.lock() = (0..50)
        .map(|number| NodeEvent {
            peer_id: format!("16U{number}"),
            ..named(if number % 2 == 0 { "even" } else { "odd" })
        })
        .collect();
    let mut socket = Socket::open(&running).await;
    socket.subscribe(r#"["node",{"name":"odd"}]"#).await;
    for number in (1..50).step_by(2) {
        let event = socket.json().await;
        let node = &event["params"]["result"]["PeerID"];
        assert_eq!(node, &format!("16U{number}"));
    }
    running.publish(named("odd"));
    assert_eq!(socket.event_name().await, "odd");
    // The first subscription gets nothing twice when a second one begins.
    let second = socket.subscribe(r#"["node",{"id":"16U8"}]"#).await;
    assert_eq!(socket.json().await["params"]["subscription"], second);
}
