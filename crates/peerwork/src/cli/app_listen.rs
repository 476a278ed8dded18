//! The values of `--app-listen`, which gives an app a port of its own at a relay.

use peerwork_identity::NodeId;
use peerwork_tunnel::ingress::{APP_PORTS_MAX, AppPort};

use super::{listen::Claim, values::socket_address};

/// Parses `NODE:PORT`.
///
/// # Errors
/// A text that says which part is wrong.
pub(crate) fn node_and_port(text: &str) -> Result<(NodeId, u16), String> {
    let (node, port) = text.rsplit_once(':').ok_or("write it like NODE:PORT")?;
    let port = port.parse().ok().filter(|port| *port != 0);
    let node = node.parse().map_err(|error| format!("{error}"))?;
    Ok((node, port.ok_or("the port is a number from 1 to 65535")?))
}

/// Parses `[https://]HOST:PORT=NODE:PORT`.
///
/// # Errors
/// A text that says how it is written, and which part is wrong.
pub(crate) fn app_listen(text: &str) -> Result<AppPort, String> {
    let how = "write it like 127.0.0.1:8081=NODE:PORT, or https://127.0.0.1:8081=NODE:PORT for TLS";
    let (listen, app) = text.split_once('=').ok_or(how)?;
    let (https, listen) = match listen.split_once("://") {
        None => (false, listen),
        Some(("http", listen)) => (false, listen),
        Some(("https", listen)) => (true, listen),
        Some((scheme, _)) => return Err(format!("`{scheme}` is neither http nor https: {how}")),
    };
    let address = socket_address(listen.trim_end_matches('/'));
    let listen = address.map_err(|error| format!("`{listen}`: {error}"))?;
    let (node, port) = node_and_port(app).map_err(|error| format!("`{app}`: {error}"))?;
    Ok(AppPort {
        listen,
        node,
        port,
        https,
    })
}

/// The names of the flags that `--app-listen` depends on, which differ between commands.
pub(crate) struct Flags {
    /// The flag of the ports themselves.
    pub(crate) app_listen: &'static str,
    /// The flag of the shared ingress.
    pub(crate) ingress: &'static str,
    /// The flag of the certificate.
    pub(crate) tls: &'static str,
    /// The setting that makes the node a relay.
    pub(crate) relay: &'static str,
}

/// The state of the settings that the apps' ports depend on.
pub(crate) struct Given {
    pub(crate) is_relay: bool,
    pub(crate) has_ingress: bool,
    pub(crate) has_certificate: bool,
}

impl Flags {
    /// Reports contradictions between the apps' ports and other settings.
    pub(crate) fn check(&self, apps: &[AppPort], given: &Given, mistakes: &mut Vec<String>) {
        let Self {
            app_listen,
            ingress,
            tls,
            relay,
        } = self;
        if apps.is_empty() {
            return;
        }
        if apps.len() > APP_PORTS_MAX {
            mistakes.push(format!(
                "{app_listen} is given {} times: at most {APP_PORTS_MAX} apps have ports of their own",
                apps.len()
            ));
        }
        if !given.is_relay {
            mistakes.push(format!("{app_listen} needs a relay: {relay}"));
        } else if !given.has_ingress {
            mistakes.push(format!(
                "{app_listen} needs the ingress, but {ingress} is off: 127.0.0.1:0 keeps the shared \
                 ingress on this machine"
            ));
        }
        if apps.iter().any(|app| app.https) && !given.has_certificate {
            mistakes.push(format!(
                "{app_listen} with https:// needs a certificate: {tls}-cert and {tls}-key"
            ));
        }
    }

    /// The ports that the apps claim.
    pub(crate) fn claims(&self, apps: &[AppPort]) -> impl Iterator<Item = Claim> {
        let flag = self.app_listen;
        apps.iter().map(move |app| Claim::http(flag, app.listen))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NODE: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    #[test]
    fn an_app_port_has_an_address_a_node_and_a_port() {
        let parsed = |listen: &str| app_listen(&format!("{listen}={NODE}:9527")).unwrap();
        let plain = parsed("127.0.0.1:8081");
        assert_eq!(plain.listen, "127.0.0.1:8081".parse().unwrap());
        assert_eq!((plain.node.to_string().as_str(), plain.port), (NODE, 9527));
        assert!(!plain.https);
        assert_eq!(parsed("http://127.0.0.1:8081"), plain);
        assert_eq!(parsed(":8081"), plain);
        let secure = parsed("https://[::1]:8443/");
        assert_eq!(secure.listen, "[::1]:8443".parse().unwrap());
        assert!(secure.https);
    }

    #[test]
    fn the_wrong_part_of_an_app_port_is_named() {
        let app = format!("{NODE}:80");
        for (value, part) in [
            (app.clone(), "write it like 127.0.0.1:8081="),
            (format!("8081={app}"), "`8081`"),
            (format!("x:8081={app}"), "`x:8081`"),
            (format!("127.0.0.1:65536={app}"), "65536"),
            (format!("h2c://127.0.0.1:1={app}"), "`h2c` is neither"),
            ("127.0.0.1:1=x:80".into(), "`x:80`"),
            (format!("127.0.0.1:1={NODE}"), "NODE:PORT"),
            (format!("127.0.0.1:1={NODE}:0"), "1 to 65535"),
            (format!("127.0.0.1:1={NODE}:65536"), "1 to 65535"),
            (String::new(), "write it like"),
        ] {
            let error = app_listen(&value).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
