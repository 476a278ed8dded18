//! JSON strings as Go's encoder writes them: `<`, `>` and `&` are escaped too.

/// The text as a JSON string with its quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}
