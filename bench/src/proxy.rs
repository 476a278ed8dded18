//! A plain hyper reverse proxy with a pool of connections: the peer that every route is compared with.
//!
//! Two of them in a chain do the steps of relay and edge, with or without TLS between the two.

use std::{net::SocketAddr, path::PathBuf};

use hyper::{
    Request, Uri, body::Incoming, http::uri::PathAndQuery, server::conn::http1, service::service_fn,
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::tls;

/// The command line of one proxy.
#[derive(Debug, clap::Args)]
pub(crate) struct ProxyArgs {
    listen: SocketAddr,
    upstream: SocketAddr,
    /// Speak TLS to the upstream, which shows the certificate in this folder
    #[arg(long)]
    tls_out: Option<PathBuf>,
    /// Speak TLS to clients, with the certificate in this folder
    #[arg(long)]
    tls_in: Option<PathBuf>,
}

/// Serves the proxy until the process is killed.
pub(crate) async fn serve(args: ProxyArgs) -> anyhow::Result<()> {
    let acceptor = args.tls_in.as_deref().map(tls::acceptor).transpose()?;
    let listener = TcpListener::bind(args.listen).await?;
    crate::say::line(listener.local_addr()?)?;
    let builder = Client::builder(TokioExecutor::new());
    match args.tls_out.as_deref().map(tls::connector).transpose()? {
        None => {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            accept(listener, acceptor, builder.build(connector), args.upstream).await
        }
        Some(connector) => {
            let upstream = args.upstream.to_string();
            let connect = move |_uri| Box::pin(tls::connect(connector.clone(), upstream.clone()));
            let client = builder.build(tower::service_fn(connect));
            accept(listener, acceptor, client, args.upstream).await
        }
    }
}

async fn accept<C>(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    client: Client<C, Incoming>,
    upstream: SocketAddr,
) -> anyhow::Result<()>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (client, acceptor) = (client.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => forward(socket, client, upstream).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        forward(stream, client, upstream).await;
                    }
                }
            }
        });
    }
}

/// Forwards the requests of one connection until its client closes it.
async fn forward<C>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client<C, Incoming>,
    upstream: SocketAddr,
) where
    C: Connect + Clone + Send + Sync + 'static,
{
    let service = service_fn(move |request| {
        let client = client.clone();
        async move { client.request(aim(request, upstream)).await }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
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
