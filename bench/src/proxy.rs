//! The peer that everything is compared with: a plain hyper reverse proxy, one hop, pooled.

use std::net::SocketAddr;

use hyper::{
    Request, Uri, body::Incoming, http::uri::PathAndQuery, server::conn::http1, service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

/// Serves until killed.
pub(crate) async fn serve(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let client = client.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let client = client.clone();
                async move { client.request(aim(request, upstream)).await }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

fn aim(mut request: Request<Incoming>, upstream: SocketAddr) -> Request<Incoming> {
    let path = request.uri().path_and_query().cloned();
    let uri = Uri::builder()
        .scheme("http")
        .authority(upstream.to_string())
        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
        .build();
    if let Ok(uri) = uri {
        *request.uri_mut() = uri;
    }
    request
}
