//! The dispatcher parses a JSON-RPC text, calls the methods in it and returns the answer (spec
//! 7.4).

use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    codes::{INVALID_PARAMS, METHOD_NOT_FOUND},
    deadline::within,
    jsonrpc::{
        filter::Filter,
        subscriptions::Subscriptions,
        wire::{self, Answer, Incoming, Item, RpcError},
    },
    metrics::{Contract, Metrics, Outcome, log_failure},
    services::NodeServices,
};

/// The number of characters of an unknown method's name that the error message repeats.
const METHOD_CHARS_MAX: usize = 64;

/// The connection that a request came on. Only a WebSocket can hold subscriptions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Session<'a> {
    Http,
    Socket(&'a Subscriptions),
}

impl Session<'_> {
    fn contract(self) -> Contract {
        match self {
            Self::Http => Contract::JsonRpcHttp,
            Self::Socket(_) => Contract::JsonRpcSocket,
        }
    }
}

/// Answers JSON-RPC requests by calling the node's services.
pub(super) struct Dispatcher {
    pub(super) services: NodeServices,
    pub(super) metrics: Metrics,
    pub(super) batch_max: usize,
    pub(super) call_deadline: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Method {
    NetworkId,
    Subscribe,
    Unsubscribe,
    UninstallFilter,
}

impl Method {
    fn parse(name: &str) -> Option<Self> {
        [
            Self::NetworkId,
            Self::Subscribe,
            Self::Unsubscribe,
            Self::UninstallFilter,
        ]
        .into_iter()
        .find(|method| method.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::NetworkId => "edge_networkId",
            Self::Subscribe => "edge_subscribe",
            Self::Unsubscribe => "edge_unsubscribe",
            Self::UninstallFilter => "edge_uninstallFilter",
        }
    }
}

impl Dispatcher {
    /// The answer to `text`; `None` when `text` holds only notifications.
    pub(super) async fn answer(&self, text: &[u8], session: Session<'_>) -> Option<String> {
        match wire::parse(text, self.batch_max) {
            Err(answer) => {
                self.count_malformed(session);
                Some(answer.to_text())
            }
            Ok(Incoming::One(item)) => Some(self.answer_one(item, session).await?.to_text()),
            Ok(Incoming::Batch(items)) => {
                let mut answers = Vec::with_capacity(items.len());
                for item in items {
                    answers.extend(self.answer_one(item, session).await);
                }
                (!answers.is_empty()).then(|| wire::to_text(&answers))
            }
        }
    }

    async fn answer_one(&self, item: Item, session: Session<'_>) -> Option<Answer> {
        let call = match item {
            Ok(call) => call,
            Err(answer) => {
                self.count_malformed(session);
                return Some(*answer);
            }
        };
        let started = Instant::now();
        let method = Method::parse(&call.method);
        let outcome = match method {
            Some(Method::Subscribe) if call.id.is_none() => return None,
            Some(method) => self.call(method, call.params, session).await,
            None => Err(unknown(&call.method)),
        };
        let label = method.map_or("other", Method::name);
        self.metrics
            .finished(session.contract(), label, blame(&outcome), started);
        // A notification has no answer, whether it succeeded or failed.
        call.id.map(|id| Answer::new(id, outcome))
    }

    fn count_malformed(&self, session: Session<'_>) {
        let outcome = Outcome::CallerError;
        self.metrics
            .finished(session.contract(), "malformed", outcome, Instant::now());
    }

    async fn call(
        &self,
        method: Method,
        params: Option<Value>,
        session: Session<'_>,
    ) -> Result<Value, RpcError> {
        match method {
            Method::NetworkId => self.network_id().await,
            Method::Subscribe => subscribe(params, session),
            Method::Unsubscribe | Method::UninstallFilter => unsubscribe(params, session),
        }
    }

    async fn network_id(&self) -> Result<Value, RpcError> {
        let call = async { self.services.node()?.network().await };
        let network = within(self.call_deadline, call).await;
        let network = network.inspect_err(|error| log_failure("edge_networkId", error))?;
        Ok(format!("{:#x}", network.network_id).into())
    }
}

fn subscribe(params: Option<Value>, session: Session<'_>) -> Result<Value, RpcError> {
    let Session::Socket(subscriptions) = session else {
        let message = "edge_subscribe needs a WebSocket: connect to /edge_ws";
        return Err(RpcError::new(METHOD_NOT_FOUND, message));
    };
    let bad = |message: String| RpcError::new(INVALID_PARAMS, message);
    let mut params = positional(params)?.into_iter();
    match params.next() {
        Some(Value::String(kind)) if kind == "node" => {}
        _ => return Err(bad("the first parameter must be \"node\"".to_owned())),
    }
    let filter = Filter::parse(params.next()).map_err(bad)?;
    if params.next().is_some() {
        return Err(bad(
            "edge_subscribe takes \"node\" and a filter, nothing more".to_owned(),
        ));
    }
    Ok(subscriptions.add(filter)?.to_string().into())
}

fn unsubscribe(params: Option<Value>, session: Session<'_>) -> Result<Value, RpcError> {
    let params = positional(params)?;
    let [Value::String(id)] = params.as_slice() else {
        let message = "the only parameter must be the id that edge_subscribe gave";
        return Err(RpcError::new(INVALID_PARAMS, message));
    };
    let removed = match (session, Uuid::parse_str(id)) {
        (Session::Socket(subscriptions), Ok(id)) => subscriptions.remove(id),
        // HTTP has no subscriptions, and a parameter that is not a UUID names none.
        _ => false,
    };
    Ok(removed.into())
}

fn positional(params: Option<Value>) -> Result<Vec<Value>, RpcError> {
    match params {
        Some(Value::Array(params)) => Ok(params),
        _ => Err(RpcError::new(INVALID_PARAMS, "`params` must be an array")),
    }
}

fn unknown(method: &str) -> RpcError {
    let shortened: String = method.chars().take(METHOD_CHARS_MAX).collect();
    let message = format!("the method {shortened} does not exist/is not available");
    RpcError::new(METHOD_NOT_FOUND, message)
}

fn blame(outcome: &Result<Value, RpcError>) -> Outcome {
    match outcome {
        Ok(_) => Outcome::Ok,
        Err(error) => error.blame,
    }
}
