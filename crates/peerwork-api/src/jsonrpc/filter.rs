//! `Filter` selects the node events that a subscriber receives.

use serde_json::{Map, Value};

use crate::events::NodeEvent;

/// Exact values that an event must have; an absent or empty value matches every event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filter {
    name: Option<String>,
    id: Option<String>,
    version: Option<String>,
    tag: Option<String>,
}

impl Filter {
    /// Parses the second parameter of `edge_subscribe`: absent, null, or an object.
    ///
    /// Keys other than `name`, `id`, `version` and `tag` are ignored.
    ///
    /// # Errors
    /// A text for the caller when the parameter is of another type.
    pub(super) fn parse(value: Option<Value>) -> Result<Self, String> {
        let mut fields = match value {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err("the filter must be an object or null".to_owned()),
        };
        Ok(Self {
            name: field(&mut fields, "name")?,
            id: field(&mut fields, "id")?,
            version: field(&mut fields, "version")?,
            tag: field(&mut fields, "tag")?,
        })
    }

    pub(super) fn matches(&self, event: &NodeEvent) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        same(&self.name, &event.name)
            && same(&self.id, &event.peer_id)
            && same(&self.version, &event.version)
            && same(&self.tag, &event.tag)
    }
}

fn field(fields: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match fields.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` of the filter must be a text")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn event() -> NodeEvent {
        NodeEvent {
            name: "edge-1".into(),
            peer_id: "16U".into(),
            version: "0.1.0".into(),
            ..NodeEvent::default()
        }
    }

    fn matches(filter: Value) -> bool {
        Filter::parse(Some(filter)).unwrap().matches(&event())
    }

    #[test]
    fn an_open_filter_matches_everything() {
        assert!(Filter::parse(None).unwrap().matches(&event()));
        for open in [
            json!(null),
            json!({}),
            json!({"name": "", "id": "", "version": "", "tag": ""}),
            json!({"name": null, "other": 1}),
        ] {
            assert!(matches(open.clone()), "{open}");
        }
    }

    #[test]
    fn all_given_values_must_be_equal() {
        assert!(matches(
            json!({"name": "edge-1", "id": "16U", "version": "0.1.0"})
        ));
        assert!(!matches(json!({"name": "edge"})));
        assert!(!matches(json!({"name": "edge-1", "id": "16"})));
        assert!(!matches(json!({"tag": "x"})));
    }

    #[test]
    fn anything_but_an_object_of_texts_is_refused() {
        for bad in [
            json!(1),
            json!("x"),
            json!([]),
            json!(true),
            json!({"name": 1}),
            json!({"id": {}}),
        ] {
            assert!(Filter::parse(Some(bad.clone())).is_err(), "{bad}");
        }
    }
}
