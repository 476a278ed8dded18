//! These tests start and stop the API.

use std::{
    error::Error as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use peerwork_api::{
    Purpose, Server, StartError,
    config::Config,
    operator::{connect, system},
};
use peerwork_listener::Stopped;
use peerwork_testkit::own_loopback;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::fake::{PATIENCE, Socket, config, loopback, node, services, start, start_json_rpc};

async fn try_start(config: Config) -> Result<peerwork_api::Handle, StartError> {
    Server::start(
        config,
        services(&node()),
        Arc::new(Mutex::new(Registry::default())),
    )
    .await
}

#[tokio::test]
async fn nothing_configured_opens_nothing() {
    let handle = try_start(Config::default()).await.unwrap();
    assert_eq!(handle.json_rpc_address(), None);
    assert_eq!(handle.operator_address(), None);
    assert_eq!(handle.metrics_address(), None);
    assert_eq!(handle.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag_and_nothing_stays_open() {
    let taken = TcpListener::bind(loopback(0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let free = TcpListener::bind((own_loopback(), 0)).await;
    let free = free.and_then(|port| port.local_addr()).unwrap();
    let mut config = config();
    config.json_rpc.as_mut().unwrap().address = free;
    config.metrics_address = Some(address);
    let Err(error) = try_start(config).await else {
        panic!("the port is taken");
    };
    assert!(matches!(
        error,
        StartError::Bind {
            purpose: Purpose::Metrics,
            ..
        }
    ));
    let message = error.to_string();
    assert!(
        message.contains("--metrics") && message.contains(&address.to_string()),
        "{message}"
    );
    assert!(error.source().is_some());
    TcpListener::bind(free).await.unwrap();
}

#[tokio::test]
async fn a_malformed_origin_is_named() {
    let mut config = config();
    config.json_rpc.as_mut().unwrap().cors_origins = vec!["a.example".into()];
    let Err(error) = try_start(config).await else {
        panic!("the origin has no scheme");
    };
    assert!(error.to_string().contains("`a.example`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_says_goodbye_to_sockets_and_frees_the_ports() {
    let own = (own_loopback(), 0).into();
    let running = start_json_rpc(|config| config.address = own).await;
    let mut socket = Socket::open(&running).await;
    socket.subscribe(r#"["node"]"#).await;
    let address = running.json_rpc();
    assert_eq!(running.handle.stop().await, Stopped::Drained);
    let Some(Message::Close(Some(frame))) = socket.frame().await else {
        panic!("expected a close frame");
    };
    assert_eq!(u16::from(frame.code), 1001);
    TcpListener::bind(address).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_cuts_requests_that_outlive_its_deadline() {
    let running = start(|config| config.stop_deadline = Duration::from_millis(50)).await;
    running.node.hanging.store(true, Ordering::Relaxed);
    let address = running.handle.operator_address().unwrap().to_string();
    let mut client = system(connect(&address, None, PATIENCE).await.unwrap());
    let call = tokio::spawn(async move { client.get_status(()).await });
    let listed = r#"peerwork_api_connections{listener="operator"}"#;
    running.metric_becomes(listed, 1.0).await;
    running.node.status_requested.notified().await;
    assert_eq!(running.handle.stop().await, Stopped::Cut);
    assert!(call.await.unwrap().is_err());
}
