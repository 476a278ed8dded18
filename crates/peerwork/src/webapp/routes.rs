//! The routes of the example web app.

use std::{convert::Infallible, pin::Pin, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, Either, Full, Limited, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// The longest message to echo in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The pause between two events.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

type Events = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
type Body = Either<Full<Bytes>, StreamBody<Events>>;

/// Answers one request; `end` ends event streams, which would otherwise never end.
pub(super) async fn answer(request: Request<Incoming>, end: CancellationToken) -> Response<Body> {
    match (request.uri().path(), request.method()) {
        ("/echo", &Method::POST) => echo(request.into_body()).await,
        ("/echo", _) => refused("Only POST requests are supported"),
        ("/home", _) => whole(StatusCode::OK, HTML, include_str!("home.html")),
        ("/events", _) => events(end),
        _ => whole(StatusCode::NOT_FOUND, PLAIN, "404 page not found\n"),
    }
}

async fn echo(body: Incoming) -> Response<Body> {
    let message = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => message(&body.to_bytes()),
        Err(_) => None,
    };
    match message {
        Some(message) => {
            let answer = serde_json::json!({ "message": message });
            whole(StatusCode::OK, JSON, format!("{answer}\n"))
        }
        None => refused("Failed to parse the request"),
    }
}

/// The `message` of the first JSON value in `body`; a missing message is empty.
fn message(body: &[u8]) -> Option<String> {
    let first = serde_json::Deserializer::from_slice(body)
        .into_iter::<Value>()
        .next();
    let Value::Object(mut object) = first?.ok()? else {
        return None;
    };
    match object.remove("message") {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(message)) => Some(message),
        Some(_) => None,
    }
}

fn events(end: CancellationToken) -> Response<Body> {
    let ticks = stream::unfold(
        tokio::time::interval(EVENT_INTERVAL),
        |mut interval| async {
            interval.tick().await;
            Some(((), interval))
        },
    );
    let frames = ticks.enumerate().map(|(number, ())| {
        let event = format!("id: {number}\nevent: tick\ndata: {{\"count\":{number}}}\n\n");
        Ok(Frame::data(Bytes::from(event)))
    });
    let events: Events = Box::pin(frames.take_until(end.cancelled_owned()));
    let mut response = Response::new(Either::Right(StreamBody::new(events)));
    response.headers_mut().insert(CONTENT_TYPE, EVENTS);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn refused(reason: &str) -> Response<Body> {
    whole(StatusCode::BAD_REQUEST, PLAIN, format!("{reason}\n"))
}

fn whole(status: StatusCode, kind: HeaderValue, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_the_first_json_value_is_echoed() {
        assert_eq!(message(br#"{"message":"hello"}"#).as_deref(), Some("hello"));
        assert_eq!(
            message(br#"{"message":"a"} {"message":"b"} rest"#).as_deref(),
            Some("a")
        );
        assert_eq!(message(b"{}").as_deref(), Some(""));
        assert_eq!(message(br#"{"message":null}"#).as_deref(), Some(""));
    }

    #[test]
    fn bodies_without_a_text_message_are_refused() {
        for wrong in [
            "",
            "hello",
            "[1]",
            "\"x\"",
            r#"{"message":1}"#,
            r#"{"message":"#,
        ] {
            assert_eq!(message(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
