//! Finds out whether a key of a data directory protects nothing, because no node asks for it.

use std::path::Path;

use peerwork_api::operator::v1::ServerStatus;

use crate::cli::{command::Call, files::flag, node, nodes, server, settings::Resolved};

/// The advice to each reason for which a key protects nothing.
const SWITCH_ON: &str = "start it without `--app-no-auth` (`server`), `--edge-open` or `--relay-open` \
                         (`node`)";

/// The reason for which a key of the data directory protects nothing, with the way out; `None` when the
/// node asks for keys, or is not known. The running node counts before the settings.
pub(super) async fn reason(resolved: &Resolved, call: &Call<'_>) -> Option<String> {
    let dir = &resolved.data_dir;
    let running = nodes::running(dir).await;
    let of_dir = |at: &Path| std::fs::canonicalize(at).ok();
    let own = running
        .iter()
        .find(|running| of_dir(&running.data_dir) == of_dir(dir));
    if let Some(own) = own {
        return of_status(own.status.as_ref()?);
    }
    if resolved.data_dir_is_default && !running.is_empty() {
        let flags: Vec<_> = running
            .iter()
            .map(|running| flag("--data-dir", &running.data_dir))
            .collect();
        return Some(format!(
            "the key is in {}, which no running node uses: name the data directory of the node that \
             must ask for it, {}",
            dir.display(),
            flags.join(" or ")
        ));
    }
    let open = server::asks_for_no_key(call) || node::asks_for_no_key(call);
    open.then(|| {
        format!(
            "the settings let callers pass without a key, so this key protects nothing: {SWITCH_ON}"
        )
    })
}

fn of_status(status: &ServerStatus) -> Option<String> {
    let edge = status.edge.as_ref().map(|edge| edge.keys_needed);
    match (edge, status.ingress_keys_needed) {
        (Some(true), _) | (None, Some(true)) => None,
        (Some(false), Some(true)) => Some(format!(
            "the node asks for keys at its ingress alone, so this key does not protect the apps of its \
             edge: {SWITCH_ON}"
        )),
        (Some(false), _) => Some(format!(
            "the edge that runs with this data directory asks for no key, so this key protects \
             nothing: {SWITCH_ON}"
        )),
        (None, Some(false)) => Some(format!(
            "the relay that runs with this data directory asks for no key, so this key protects \
             nothing: {SWITCH_ON}, or make a key at the edge of the app"
        )),
        (None, None) => Some(
            "the node that runs with this data directory has no edge and no HTTP ingress, so no caller \
             needs this key: make a key at the edge of the app"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use peerwork_api::operator::v1::EdgeOffer;

    use super::*;

    #[test]
    fn a_key_that_no_part_of_the_node_asks_for_is_useless() {
        let reason = |edge: Option<bool>, ingress: Option<bool>| {
            of_status(&ServerStatus {
                edge: edge.map(|keys_needed| EdgeOffer {
                    keys_needed,
                    ..EdgeOffer::default()
                }),
                ingress_keys_needed: ingress,
                ..ServerStatus::default()
            })
        };
        for (edge, ingress) in [
            (Some(true), None),
            (Some(true), Some(false)),
            (None, Some(true)),
        ] {
            assert_eq!(reason(edge, ingress), None, "{edge:?} {ingress:?}");
        }
        for (edge, ingress, part) in [
            (Some(false), None, "edge that runs"),
            (Some(false), Some(true), "at its ingress alone"),
            (None, Some(false), "relay that runs"),
            (None, None, "no edge and no HTTP ingress"),
        ] {
            let reason = reason(edge, ingress).unwrap_or_default();
            assert!(reason.contains(part), "{part}: {reason}");
        }
    }
}
