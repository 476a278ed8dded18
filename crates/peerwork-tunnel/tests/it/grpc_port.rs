//! gRPC at an app's own port of a relay, where clients need no prefix in their paths: by tonic over each
//! transport between relay and edge, and by grpcurl with TLS and without.

use std::{path::PathBuf, process::Output};

use peerwork_tunnel::edge::AppUrl;
use tokio::{process::Command, time::timeout};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::health_client::HealthClient;

use crate::{
    grpc::{SERVING, asked, grpc_app},
    secure::certificate,
    world::{Over, SOON, Setup, World},
};

/// Offers a gRPC server at the app's port, and at a port of its own at the relay.
fn offer(setup: &mut Setup, grpc: u16, https: bool) {
    setup.app_ports.push(https);
    let offered = *setup.edge.ports.iter().next().unwrap();
    let url = AppUrl::parse(&format!("h2c://localhost:{grpc}"), offered).unwrap();
    setup.edge.apps = [(offered, url)].into();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_needs_no_prefix_at_a_port_of_the_apps_own_over_each_transport() {
    let (grpc, _reporter) = grpc_app().await;
    for over in Over::ALL {
        let world = World::with(|setup| {
            offer(setup, grpc, false);
            setup.over = over;
        })
        .await;
        let origin = format!("http://{}", world.ingress.app_addresses()[0]);
        let channel = Endpoint::from_shared(origin).unwrap().connect().await;
        let mut health = HealthClient::new(channel.unwrap());
        let answer = timeout(SOON, health.check(asked(""))).await.unwrap();
        assert_eq!(answer.unwrap().into_inner().status(), SERVING, "{over:?}");
        let status = timeout(SOON, health.check(asked("no.such.Service"))).await;
        let status = status.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{over:?}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcurl_calls_an_app_at_its_own_port_with_tls_and_without() {
    let tools = std::env::var_os("PEERWORK_TEST_TOOLS").map(PathBuf::from);
    let grpcurl = tools.map(|tools| tools.join("bin/grpcurl"));
    let Some(grpcurl) = grpcurl.filter(|program| program.is_file()) else {
        return;
    };
    let (grpc, _reporter) = grpc_app().await;
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(&folder);
    for https in [false, true] {
        let world = World::with(|setup| {
            offer(setup, grpc, https);
            setup.ingress.http.preamble.tls = Some(files.clone());
        })
        .await;
        let port = world.ingress.app_addresses()[0].port();
        let mut call = Command::new(&grpcurl);
        match https {
            true => call.arg("-cacert").arg(&files.certificate),
            false => call.arg("-plaintext"),
        };
        let call = call.args(["-max-time", "20"]).args([
            format!("localhost:{port}"),
            "grpc.health.v1.Health/Check".into(),
        ]);
        let Output {
            status,
            stdout,
            stderr,
        } = call.output().await.unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{stderr}");
        let stdout = String::from_utf8_lossy(&stdout);
        assert!(
            stdout.contains("SERVING"),
            "https {https}: {stdout}{stderr}"
        );
    }
}
