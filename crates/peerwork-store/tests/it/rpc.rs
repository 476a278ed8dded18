//! A daemon's RPC API as a source of blocks, with a daemon that the test writes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use cid::{Cid, Version};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use peerwork_store::{
    BLOCK_BYTES_MAX, Block, RAW, Source,
    rpc::{ApiAddress, KuboApi, RpcError},
};
use peerwork_testkit::{ClosedPort, DEADLINE, eventually};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

type Answer = Response<Full<Bytes>>;

struct Daemon {
    api: ApiAddress,
    asked: Arc<std::sync::Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}

impl Daemon {
    async fn start(answers: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (notes, answers) = (Arc::clone(&asked), Arc::new(answers));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (notes, answers) = (Arc::clone(&notes), Arc::clone(&answers));
                let service = service_fn(move |request: Request<Incoming>| {
                    assert_eq!(request.method(), Method::POST);
                    let query = request.uri().to_string();
                    notes.lock().unwrap().push(query.clone());
                    let answers = Arc::clone(&answers);
                    async move {
                        match answers(&query) {
                            Some(answer) => Ok::<_, Infallible>(answer),
                            None => std::future::pending().await,
                        }
                    }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                let serving = builder.serve_connection(TokioIo::new(tcp), service);
                tokio::spawn(async move { serving.await });
            }
        });
        let api = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        Self { api, asked, task }
    }

    fn source(&self) -> KuboApi {
        KuboApi::new(self.api.clone())
    }
}

fn block(data: impl Into<Bytes>) -> Block {
    Block::new(Version::V1, RAW, data.into()).unwrap()
}

async fn get(source: &KuboApi, cid: &Cid) -> Result<Block, RpcError> {
    timeout(DEADLINE, source.block(cid)).await.unwrap()
}

#[tokio::test]
async fn blocks_are_read_and_checked() {
    let right = block("right");
    let wrong = block("wrong");
    let data = right.data().clone();
    let daemon = Daemon::start(move |_| Some(answer(StatusCode::OK, data.clone()))).await;
    let source = daemon.source();
    assert_eq!(get(&source, right.cid()).await.unwrap(), right);
    let expected = format!("/api/v0/block/get?arg={}", right.cid());
    assert_eq!(*daemon.asked.lock().unwrap(), [expected]);
    let error = get(&source, wrong.cid()).await.unwrap_err();
    assert!(
        error.to_string().contains("does not match its CID"),
        "{error}"
    );
}

#[tokio::test]
async fn a_block_has_a_largest_size() {
    let largest = block(vec![1; BLOCK_BYTES_MAX]);
    let daemon = Daemon::start(|_| Some(answer(StatusCode::OK, vec![1; BLOCK_BYTES_MAX]))).await;
    assert_eq!(get(&daemon.source(), largest.cid()).await.unwrap(), largest);
    let daemon =
        Daemon::start(|_| Some(answer(StatusCode::OK, vec![1; BLOCK_BYTES_MAX + 1]))).await;
    let error = get(&daemon.source(), largest.cid()).await.unwrap_err();
    assert!(
        error.to_string().contains("more than 2097152 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn the_errors_of_a_daemon_are_passed_on_and_say_what_to_do() {
    let cid = *block("x").cid();
    let closed = ClosedPort::bind().unwrap();
    let api: ApiAddress = format!("http://{}", closed.address()).parse().unwrap();
    let error = get(&KuboApi::new(api), &cid).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("ipfs daemon") && text.contains("--ipfs-api"),
        "{text}"
    );
    let body = r#"{"Message":"block was not found locally","Code":0,"Type":"error"}"#;
    let daemon =
        Daemon::start(move |_| Some(answer(StatusCode::INTERNAL_SERVER_ERROR, body))).await;
    let error = get(&daemon.source(), &cid).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("says: block was not found locally"),
        "{error}"
    );
    let daemon = Daemon::start(|_| Some(answer(StatusCode::FORBIDDEN, "no"))).await;
    let error = get(&daemon.source(), &cid).await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
}

#[tokio::test]
async fn links_and_pins_are_asked_for() {
    let cid = *block("x").cid();
    let body = format!(
        r#"{{"Objects":[{{"Hash":"{cid}","Links":[{{"Name":"a","Hash":"{cid}","Size":7,"Type":2,"Target":""}}]}}]}}"#
    );
    let daemon = Daemon::start(move |_| Some(answer(StatusCode::OK, body.clone()))).await;
    let links = daemon.source().ls(&cid).await.unwrap();
    assert_eq!(links.len(), 1);
    assert_eq!(
        (links[0].name.as_str(), links[0].cid, links[0].size),
        ("a", cid, 7)
    );
    daemon.source().pin_add(&cid, DEADLINE).await.unwrap();
    let asked = daemon.asked.lock().unwrap().clone();
    assert!(asked[0].starts_with(&format!("/api/v0/ls?arg={cid}")));
    assert!(asked[1].starts_with(&format!("/api/v0/pin/add?arg={cid}&recursive=true")));
    let daemon = Daemon::start(|_| Some(answer(StatusCode::OK, "not json"))).await;
    assert!(matches!(
        daemon.source().ls(&cid).await,
        Err(RpcError::Answer { .. })
    ));
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_given_up() {
    let cid = *block("x").cid();
    let daemon = Daemon::start(|_| None).await;
    let source = daemon.source();
    let pinned = source.pin_add(&cid, Duration::from_millis(50));
    let error = timeout(DEADLINE, pinned).await.unwrap().unwrap_err();
    assert!(matches!(error, RpcError::Deadline { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expected_blocks_are_fetched_ahead_and_once() {
    let blocks: Vec<Block> = (0..40).map(|i| block(format!("block {i}"))).collect();
    let known = blocks.clone();
    let daemon = Daemon::start(move |query| {
        let found = known
            .iter()
            .find(|block| query.ends_with(&block.cid().to_string()));
        Some(answer(StatusCode::OK, found?.data().clone()))
    })
    .await;
    let source = daemon.source();
    let cids: Vec<Cid> = blocks.iter().map(|block| *block.cid()).collect();
    source.expect(&cids);
    let ahead = || (daemon.asked.lock().unwrap().len() == 32).then_some(());
    eventually("the blocks ahead", ahead).await;
    for block in &blocks {
        let got = timeout(DEADLINE, Source::get(&source, block.cid()))
            .await
            .unwrap();
        assert_eq!(&got.unwrap(), block);
    }
    assert_eq!(daemon.asked.lock().unwrap().len(), 40);
}
