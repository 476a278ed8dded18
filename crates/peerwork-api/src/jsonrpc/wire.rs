//! This module parses JSON-RPC 2.0 texts into calls and serializes answers.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

use crate::{
    codes::{INVALID_REQUEST, PARSE_ERROR},
    error::{ErrorKind, ServiceError},
    metrics::Outcome,
};

/// The longest text id, in bytes. The answer repeats the id, so the bound keeps answers small.
const ID_BYTES_MAX: usize = 128;

/// One request, or a notification when it has no id.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: Option<Value>,
    pub(crate) method: String,
    pub(crate) params: Option<Value>,
}

/// A request, or the answer to a malformed one.
pub(crate) type Item = Result<Call, Box<Answer>>;

/// The contents of one text: a single request or a batch.
#[derive(Debug)]
pub(crate) enum Incoming {
    One(Item),
    Batch(Vec<Item>),
}

/// Parses `text`.
///
/// # Errors
/// The answer to the whole text, when it is not JSON, an empty batch or a batch above `batch_max`.
pub(crate) fn parse(text: &[u8], batch_max: usize) -> Result<Incoming, Box<Answer>> {
    let whole = |code, message: String| {
        let error = RpcError::new(code, message);
        Box::new(Answer::error(Value::Null, error))
    };
    match serde_json::from_slice(text) {
        Err(error) => Err(whole(
            PARSE_ERROR,
            format!("the request is not JSON: {error}"),
        )),
        Ok(Value::Array(items)) if items.is_empty() => {
            Err(whole(INVALID_REQUEST, "the batch is empty".to_owned()))
        }
        Ok(Value::Array(items)) if items.len() > batch_max => {
            let message = format!(
                "the batch holds {} requests of at most {batch_max}",
                items.len()
            );
            Err(whole(INVALID_REQUEST, message))
        }
        Ok(Value::Array(items)) => Ok(Incoming::Batch(items.into_iter().map(call).collect())),
        Ok(item) => Ok(Incoming::One(call(item))),
    }
}

fn call(item: Value) -> Item {
    let Value::Object(mut fields) = item else {
        return Err(invalid(Value::Null, "a request is a JSON object"));
    };
    let id = match fields.remove("id") {
        Some(id) if !is_id(&id) => {
            let message =
                format!("`id` must be a number, null or a text of at most {ID_BYTES_MAX} bytes");
            return Err(invalid(Value::Null, message));
        }
        id => id,
    };
    request(fields, id.clone()).map_err(|message| invalid(id.unwrap_or_default(), message))
}

fn request(mut fields: Map<String, Value>, id: Option<Value>) -> Result<Call, &'static str> {
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err("`jsonrpc` must be \"2.0\"");
    }
    let Some(Value::String(method)) = fields.remove("method") else {
        return Err("`method` must be a text");
    };
    let params = fields.remove("params");
    match params {
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => {}
        Some(_) => return Err("`params` must be an array or an object"),
    }
    Ok(Call { id, method, params })
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::Null | Value::Number(_) => true,
        Value::String(text) => text.len() <= ID_BYTES_MAX,
        _ => false,
    }
}

fn invalid(id: Value, message: impl Into<Cow<'static, str>>) -> Box<Answer> {
    Box::new(Answer::error(id, RpcError::new(INVALID_REQUEST, message)))
}

/// The error object of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RpcError {
    pub(crate) code: i32,
    pub(crate) message: Cow<'static, str>,
    #[serde(skip)]
    pub(crate) blame: Outcome,
}

impl RpcError {
    /// Creates an error object with a code and a message.
    pub(crate) fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            blame: Outcome::CallerError,
        }
    }
}

impl From<ServiceError> for RpcError {
    /// Converts a failure without its internal details, because strangers may call this listener;
    /// the details go to the log.
    fn from(error: ServiceError) -> Self {
        let message = match error.kind {
            ErrorKind::Internal => "internal error".into(),
            _ => error.message.into(),
        };
        Self {
            code: error.kind.codes().json_rpc,
            message,
            blame: error.kind.into(),
        }
    }
}

/// The answer to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    id: Value,
    outcome: Result<Value, RpcError>,
}

impl Answer {
    pub(crate) fn new(id: Value, outcome: Result<Value, RpcError>) -> Self {
        Self { id, outcome }
    }

    pub(crate) fn error(id: Value, error: RpcError) -> Self {
        Self::new(id, Err(error))
    }

    pub(crate) fn to_text(&self) -> String {
        to_text(self)
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("jsonrpc", "2.0")?;
        map.serialize_entry("id", &self.id)?;
        match &self.outcome {
            Ok(result) => map.serialize_entry("result", result)?,
            Err(error) => map.serialize_entry("error", error)?,
        }
        map.end()
    }
}

/// Serializes a value of this crate as JSON.
pub(crate) fn to_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("invariant: values of the API have text keys only")
}

/// An error answer that belongs to no particular request, as text.
pub(crate) fn error_text(code: i32, message: impl Into<Cow<'static, str>>) -> String {
    Answer::error(Value::Null, RpcError::new(code, message)).to_text()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refused(text: &str) -> String {
        match parse(text.as_bytes(), 2) {
            Err(answer) | Ok(Incoming::One(Err(answer))) => answer.to_text(),
            other => panic!("{text} was taken: {other:?}"),
        }
    }

    #[test]
    fn malformed_requests_get_the_codes_of_the_standard() {
        for (text, id, code) in [
            ("", "null", -32700),
            ("{", "null", -32700),
            ("[]", "null", -32600),
            ("[1,2,3]", "null", -32600),
            ("1", "null", -32600),
            ("{}", "null", -32600),
            (r#"{"id":1}"#, "1", -32600),
            (
                r#"{"jsonrpc":"1.0","id":"a","method":"m"}"#,
                "\"a\"",
                -32600,
            ),
            (r#"{"jsonrpc":"2.0","id":1}"#, "1", -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "1", -32600),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":5}"#,
                "1",
                -32600,
            ),
            (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, "null", -32600),
            (
                r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
                "null",
                -32600,
            ),
        ] {
            let start = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"#);
            let answer = refused(text);
            assert!(answer.starts_with(&start), "{text} gave {answer}");
        }
    }

    #[test]
    fn a_text_id_one_byte_too_long_is_refused_and_not_sent_back() {
        let request = |length| {
            format!(
                r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#,
                "x".repeat(length)
            )
        };
        assert!(parse(request(ID_BYTES_MAX).as_bytes(), 1).is_ok());
        assert!(refused(&request(ID_BYTES_MAX + 1)).contains(r#""id":null"#));
    }

    #[test]
    fn deep_nesting_is_a_parse_error() {
        assert!(refused(&"[".repeat(100_000)).contains("-32700"));
    }

    #[test]
    fn a_batch_keeps_good_and_bad_requests_apart() {
        let text = br#"[{"jsonrpc":"2.0","method":"m"},1]"#;
        let Ok(Incoming::Batch(items)) = parse(text, 2) else {
            panic!("a batch of two is within the limit");
        };
        assert!(items[0].as_ref().unwrap().id.is_none());
        assert!(items[1].is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text: Vec<u8>) {
            let _ = parse(&text, 2);
        }

        #[test]
        fn nothing_near_a_request_is_too_strange(
            text in r#"\[?\{("(jsonrpc|id|method|params)":("2.0"|1|-1.5|null|\[1\]|\{\}|"x"),?){0,5}\}?\]?"#
        ) {
            if let Err(answer) | Ok(Incoming::One(Err(answer))) = parse(text.as_bytes(), 2) {
                let answer: Value = serde_json::from_str(&answer.to_text()).unwrap();
                proptest::prop_assert_eq!(&answer["jsonrpc"], "2.0");
            }
        }
    }
}
