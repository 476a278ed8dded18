//! These tests call the operator's gRPC with a real client: its services, its access rule,
//! reflection and health.

use std::{sync::atomic::Ordering, time::Duration};

use futures::stream;
use peerwork_api::{
    config::{Loopback, OperatorToken},
    operator::{self, Client, connect, system, v1},
};
use peerwork_testkit::ClosedPort;
use tokio_stream::StreamExt as _;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1 as reflection, v1alpha};

use crate::fake::{PATIENCE, Running, TOKEN, peer, start};

async fn client(running: &Running, token: Option<&str>) -> Client {
    let address = running.handle.operator_address().unwrap().to_string();
    let token = token.map(|token| OperatorToken::new(token).unwrap());
    system(connect(&address, token.as_ref(), PATIENCE).await.unwrap())
}

async fn channel(running: &Running) -> Channel {
    let address = running.handle.operator_address().unwrap();
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

async fn guarded() -> Running {
    start(|config| config.operator.as_mut().unwrap().loopback = Loopback::NeedsToken).await
}

#[tokio::test]
async fn the_status_has_all_fields() {
    let running = start(|_| ()).await;
    let status = client(&running, None)
        .await
        .get_status(())
        .await
        .unwrap()
        .into_inner();
    let id = peer().id;
    let expected = v1::ServerStatus {
        p2p_addr: format!("/ip4/127.0.0.1/tcp/50001/p2p/{id}"),
        node_id: id,
        mode: "full".into(),
        version: "0.1.0".into(),
        network_name: "MyNetwork".into(),
        network_id: 1000,
        uptime_seconds: 61,
        listen_addresses: vec!["/ip4/127.0.0.1/tcp/50001".into()],
        reachability: "private".into(),
        peers_connected: 3,
        reservations_held: 1,
        reservations_given: Some(2),
        edges_known: None,
        tunnels_active: 4,
        bytes_received: 5,
        bytes_sent: 6,
        endpoints: vec![v1::Endpoint {
            name: "json-rpc".into(),
            address: "127.0.0.1:50002".into(),
            tls: true,
        }],
        edge: Some(v1::EdgeOffer {
            ports: vec![v1::OfferedPort {
                port: 8080,
                app: "localhost".into(),
            }],
            keys_needed: true,
            callers_allowed: Some(7),
        }),
        ingress_keys_needed: Some(false),
        refused: vec![v1::Refused {
            node_id: "16U".into(),
            reason: "it has a secret".into(),
        }],
    };
    assert_eq!(status, expected);
    let counted =
        r#"peerwork_api_requests_total{contract="operator",method="GetStatus",outcome="ok"}"#;
    assert_eq!(running.metric(counted), Some(1.0));
}

#[tokio::test]
async fn protocols_are_real_names() {
    let running = start(|_| ()).await;
    let mut client = client(&running, None).await;
    let names = ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"];
    let list = client.peers_list(()).await.unwrap().into_inner();
    assert_eq!(list.peers[0].protocols, names);
    let request = v1::PeersStatusRequest { id: peer().id };
    let one = client.peers_status(request).await.unwrap().into_inner();
    assert_eq!(one.protocols, names);
    assert_eq!(one.addrs, ["/ip4/203.0.113.9/tcp/50004"]);
    assert_eq!(one.reservation, "");
}

#[tokio::test]
async fn peers_are_added_or_the_mistake_is_named() {
    let running = start(|_| ()).await;
    let mut client = client(&running, None).await;
    let add = |id: &str| v1::PeersAddRequest { id: id.into() };
    let added = client
        .peers_add(add("/ip4/127.0.0.1/tcp/1/p2p/16U"))
        .await
        .unwrap();
    assert_eq!(
        added.into_inner().message,
        "Peer address marked ready for dialing"
    );
    let refused = client
        .peers_add(add("/ip4/127.0.0.1/tcp/1"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "the address has no /p2p/ part");
}

#[tokio::test]
async fn unknown_and_malformed_peers_are_told_apart() {
    let running = start(|_| ()).await;
    let mut client = client(&running, None).await;
    for (id, code) in [("16Unknown", Code::NotFound), ("x", Code::InvalidArgument)] {
        let request = v1::PeersStatusRequest { id: id.into() };
        assert_eq!(client.peers_status(request).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn relays_are_listed_and_counted() {
    let running = start(|_| ()).await;
    let mut client = client(&running, None).await;
    let relays = client
        .peers_relay_list(())
        .await
        .unwrap()
        .into_inner()
        .peers;
    let text = "LimitData:0, LimitDuration:0s, Expiration:1970-01-01 00:00:00 +0000 UTC, Addrs:[]";
    assert_eq!(relays[0].reservation, text);
    let none = client.relay_status(()).await.unwrap().into_inner();
    assert_eq!(none, v1::Peer::default());
    let count = client.relay_connections(()).await.unwrap().into_inner();
    assert_eq!((count.connected, count.max_reservations), (7, 2048));
}

#[tokio::test]
async fn callers_that_are_not_trusted_need_the_token() {
    let running = guarded().await;
    for token in [None, Some("not-the-right-token")] {
        let refused = client(&running, token)
            .await
            .get_status(())
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains("operator.token"), "{refused}");
    }
    assert!(
        client(&running, Some(TOKEN))
            .await
            .get_status(())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn reflection_and_health_need_the_token_too() {
    let running = guarded().await;
    let mut health = HealthClient::new(channel(&running).await);
    let refused = health
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let channel = channel(&running).await;
    let mut client = reflection::server_reflection_client::ServerReflectionClient::new(channel);
    let refused = client
        .server_reflection_info(stream::empty())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn health_says_serving_for_the_server_and_the_service() {
    let running = start(|_| ()).await;
    let mut health = HealthClient::new(channel(&running).await);
    for service in ["", "v1.System"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status, 1, "{service}");
    }
    let request = HealthCheckRequest {
        service: "v1.Miner".into(),
    };
    assert_eq!(
        health.check(request).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    let running = start(|_| ()).await;
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "peerwork.directory.v1.Directory",
        "peerwork.invitations.v1.Invitations",
        "peerwork.store.v1.Store",
        "v1.System",
    ];

    use reflection::{server_reflection_request as ask, server_reflection_response as answer};
    let channel_v1 = channel(&running).await;
    let mut client = reflection::server_reflection_client::ServerReflectionClient::new(channel_v1);
    let list = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(ask::MessageRequest::ListServices(String::new())),
    };
    let symbol = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(ask::MessageRequest::FileContainingSymbol("v1.Peer".into())),
    };
    let answers = client
        .server_reflection_info(stream::iter([list, symbol]))
        .await
        .unwrap();
    let answers: Vec<_> = answers.into_inner().map(Result::unwrap).collect().await;
    let answer::MessageResponse::ListServicesResponse(services) =
        answers[0].message_response.as_ref().unwrap()
    else {
        panic!("expected the services");
    };
    let mut names: Vec<_> = services.service.iter().map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, expected);
    assert!(matches!(
        answers[1].message_response,
        Some(answer::MessageResponse::FileDescriptorResponse(_))
    ));

    let channel = channel(&running).await;
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let list = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let answers = client
        .server_reflection_info(stream::iter([list]))
        .await
        .unwrap();
    assert_eq!(
        answers
            .into_inner()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn a_request_above_the_size_limit_is_refused() {
    let running = start(|_| ()).await;
    let mut client = client(&running, None).await;
    // The encoded message adds one byte of tag and three bytes of length to the address.
    let request = |length| v1::PeersAddRequest {
        id: format!("{:length$}", "/p2p/"),
    };
    assert!(client.peers_add(request(64 * 1024 - 4)).await.is_ok());
    let refused = client.peers_add(request(64 * 1024 - 3)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_deadline_exceeded() {
    let running = start(|config| config.call_deadline = Duration::from_millis(20)).await;
    running.node.hanging.store(true, Ordering::Relaxed);
    let refused = client(&running, None)
        .await
        .get_status(())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn methods_and_services_that_are_left_out_are_unimplemented() {
    let running = start(|_| ()).await;
    let mut grpc = tonic::client::Grpc::new(channel(&running).await);
    for path in ["/v1.System/BlockByNumber", "/v1.Miner/GetMinerStatus"] {
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let path = path.parse().unwrap();
        let refused = grpc
            .unary(tonic::Request::new(()), path, codec)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn a_failed_connection_names_the_reason() {
    for text in ["", "no port", "127.0.0.1", "http://127.0.0.1:1"] {
        let Err(error) = connect(text, None, PATIENCE).await else {
            panic!("`{text}` is no address");
        };
        assert!(
            matches!(error, operator::ConnectError::Address { .. }),
            "{error}"
        );
    }
    let closed = ClosedPort::bind().unwrap();
    let Err(error) = connect(&closed.address().to_string(), None, PATIENCE).await else {
        panic!("the port is closed");
    };
    assert!(error.to_string().contains("--grpc-address"), "{error}");
}
