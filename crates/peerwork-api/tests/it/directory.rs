//! These tests call `peerwork.directory.v1.Directory` with a real gRPC client.

use peerwork_api::{
    NodeServices, Server,
    directory::v1::{GetRequest, ListRequest, directory_client::DirectoryClient},
    operator::connect,
};
use tonic::Code;

use crate::fake::{PATIENCE, config, start};

#[tokio::test]
async fn nodes_are_listed_page_by_page() {
    let running = start(|_| ()).await;
    let address = running.handle.operator_address().unwrap().to_string();
    let mut client = DirectoryClient::new(connect(&address, None, PATIENCE).await.unwrap());
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let request = ListRequest {
            limit: 4,
            after,
            ..ListRequest::default()
        };
        let page = client.list(request).await.unwrap().into_inner();
        assert_eq!(page.total, 9);
        let Some(last) = page.nodes.last() else {
            break;
        };
        after = last.id.clone();
        seen.extend(page.nodes.into_iter().map(|node| node.id));
    }
    let all: Vec<_> = (1..=9).map(|number| format!("n{number}")).collect();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_node_has_all_its_fields_and_an_unknown_node_is_not_found() {
    let running = start(|_| ()).await;
    let address = running.handle.operator_address().unwrap().to_string();
    let mut client = DirectoryClient::new(connect(&address, None, PATIENCE).await.unwrap());
    let get = |id: &str| GetRequest { id: id.into() };
    let node = client.get(get("n2")).await.unwrap().into_inner();
    assert_eq!((node.roles, node.ports), (vec!["edge".into()], vec![2]));
    assert_eq!((node.uptime_seconds, node.requires_key), (1, true));
    let error = client.get(get("n10")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let request = ListRequest {
        limit: 1001,
        ..ListRequest::default()
    };
    let error = client.list(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_domain_that_the_node_does_not_have_is_unimplemented() {
    let registry = Default::default();
    let handle = Server::start(config(), NodeServices::default(), registry)
        .await
        .unwrap();
    let address = handle.operator_address().unwrap().to_string();
    let mut client = DirectoryClient::new(connect(&address, None, PATIENCE).await.unwrap());
    let error = client.list(ListRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert_eq!(error.message(), "this node has no directory service");
}
