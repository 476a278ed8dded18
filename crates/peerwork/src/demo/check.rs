//! `peerwork demo --check`: makes the calls of the README and checks the answers.

use std::{fmt, time::Duration};

use hyper::Method;

use crate::http_call;

/// How long one call may take.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 64 * 1024;
const MESSAGE: &str = r#"{"message":"hello"}"#;

/// A call with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The description of the call.
    pub what: String,
    /// The description of the answer.
    pub saw: String,
    /// Whether the answer is the expected one.
    pub ok: bool,
}

/// The results of all calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The calls in the order they were made.
    pub steps: Vec<Step>,
}

impl CheckReport {
    /// Whether every call got the expected answer.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.ok)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let mark = if step.ok { "ok  " } else { "FAIL" };
            writeln!(f, "{mark}  {}\n      {}", step.what, step.saw)?;
        }
        Ok(())
    }
}

/// Calls the web app by its URLs through both relays.
pub(super) async fn run(app_urls: &[String; 2]) -> CheckReport {
    let mut steps = Vec::new();
    for url in app_urls {
        let echo = call(Method::POST, &format!("{url}/echo"), MESSAGE).await;
        steps.push(judge(
            format!("POST {url}/echo {MESSAGE}"),
            echo,
            200,
            MESSAGE,
        ));
        let home = call(Method::GET, &format!("{url}/home"), "").await;
        steps.push(judge(format!("GET {url}/home"), home, 200, "<html"));
    }
    // This port is not offered by the edge, so the call must be refused.
    let [first, _] = app_urls;
    let closed = first
        .rsplit_once('/')
        .map_or("", |(node, _)| node)
        .to_owned()
        + "/1/";
    let refused = call(Method::GET, &closed, "").await;
    steps.push(judge(format!("GET {closed}"), refused, 403, "port"));
    CheckReport { steps }
}

fn judge(what: String, seen: Result<(u16, String), String>, status: u16, text: &str) -> Step {
    match seen {
        Ok((code, body)) => Step {
            what,
            ok: code == status && body.contains(text),
            saw: format!("{code} {}", first_line(&body)),
        },
        Err(why) => Step {
            what,
            saw: why,
            ok: false,
        },
    }
}

fn first_line(body: &str) -> String {
    let line = body.trim().lines().next().unwrap_or_default();
    line.chars().take(200).collect()
}

async fn call(method: Method, url: &str, body: &'static str) -> Result<(u16, String), String> {
    let call = http_call::call(method, url, body, BODY_BYTES_MAX);
    let answer = tokio::time::timeout(CALL_DEADLINE, call).await;
    answer.map_err(|_| format!("no answer within {CALL_DEADLINE:?}"))?
}
