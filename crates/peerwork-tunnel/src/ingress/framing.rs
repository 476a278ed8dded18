//! The framing of messages (RFC 9112 section 6): transfer codings and lengths.
//!
//! hyper decodes `chunked` and no other transfer coding, and gives the body's bytes without saying which
//! codings are left. A body that a client or an app coded further would lose its coding here without a
//! trace, because `Transfer-Encoding` holds for one connection and is removed. So a message with any
//! other coding is refused.

use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;

use crate::problem::{Failure, Problem};

/// Refuses a request whose body has a transfer coding beside `chunked`.
///
/// # Errors
/// 501, as RFC 9112 section 6.1 asks for.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    if codings(request.headers()) == Codings::Further {
        let detail = "this relay decodes no transfer coding but chunked; send the body without it";
        return Err(Problem::new(Failure::TransferCoding, detail));
    }
    Ok(())
}

/// Mends the length of an answer, and refuses an answer whose body has a transfer coding beside
/// `chunked`.
///
/// # Errors
/// 502 for an answer with such a body.
pub(crate) fn mend<B: Body>(response: &mut Response<B>) -> Result<(), Problem> {
    let codings = codings(response.headers());
    if codings == Codings::Further && !response.body().is_end_stream() {
        let detail = "the app's answer has a transfer coding beside chunked, which holds only between \
                      two programs: the app must not send it to a proxy that did not ask for it";
        return Err(Problem::new(Failure::AppBroken, detail));
    }
    let headers = response.headers_mut();
    if codings == Codings::None {
        unite_lengths(headers);
    } else {
        // The transfer coding ends the body, whatever the length says (RFC 9112 section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

/// The transfer codings of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codings {
    None,
    /// `chunked` alone, or `identity`, which stands for no coding; RFC 2616 defined it.
    Plain,
    /// Any other coding, or several.
    Further,
}

fn codings(headers: &HeaderMap) -> Codings {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = match (values.next(), values.next()) {
        (None, _) => return Codings::None,
        (Some(coding), None) => coding.as_bytes().trim_ascii(),
        (Some(_), Some(_)) => return Codings::Further,
    };
    let plain = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
    if plain("chunked") || plain("identity") {
        Codings::Plain
    } else {
        Codings::Further
    }
}

/// Makes one length of a length that the app repeated (RFC 9110 section 8.6). Answers without a body may
/// have unequal lengths, because hyper does not read them; such lengths are removed.
fn unite_lengths(headers: &mut HeaderMap) {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return;
    };
    if values.next().is_none() && is_number(first.as_bytes()) {
        return;
    }
    let mut lengths = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let length = lengths.next().unwrap_or_default();
    let equal = is_number(length) && lengths.all(|other| other == length);
    let united = HeaderValue::from_bytes(length).ok().filter(|_| equal);
    match united {
        Some(length) => {
            headers.insert(CONTENT_LENGTH, length);
        }
        None => {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http_body_util::{Empty, Full};

    use super::*;

    fn answer<B>(body: B, headers: &[(&'static str, &'static str)]) -> Response<B> {
        let mut response = Response::new(body);
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            response.headers_mut().append(*name, value);
        }
        response
    }

    #[test]
    fn an_answer_without_a_body_may_name_any_coding_and_unequal_lengths_are_removed() {
        let coded = [
            ("transfer-encoding", "gzip, chunked"),
            ("content-length", "9"),
        ];
        let mut head = answer(Empty::<bytes::Bytes>::new(), &coded);
        mend(&mut head).unwrap();
        assert_eq!(head.headers().get(CONTENT_LENGTH), None);
        assert!(mend(&mut answer(Full::<bytes::Bytes>::from("body"), &coded)).is_err());
        for (lengths, left) in [
            (&["3"][..], Some("3")),
            (&["3", "3, 3"], Some("3")),
            (&["3", "4"], None),
            (&["-3"], None),
            (&[""], None),
        ] {
            let lengths: Vec<_> = lengths.iter().map(|l| ("content-length", *l)).collect();
            let mut response = answer(Empty::<bytes::Bytes>::new(), &lengths);
            mend(&mut response).unwrap();
            let length = response.headers().get(CONTENT_LENGTH);
            assert_eq!(length.map(|value| value.to_str().unwrap()), left);
        }
    }
}
