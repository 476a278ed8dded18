//! The apps of an edge: flags that name ports, URLs and certificates.

use std::path::Path;

use peerwork_tunnel::edge::{self, AppUrl, Authority, Trust, UrlError};

/// A port that an edge offers, and the URL of its app where one is given: `PORT` or `PORT=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferedPort {
    pub(crate) port: u16,
    pub(crate) url: Option<AppUrl>,
}

/// Parses `PORT` or `PORT=URL`.
///
/// # Errors
/// A text that says how port and URL are written.
pub(crate) fn offered_port(text: &str) -> Result<OfferedPort, String> {
    let (port, url) = match text.split_once('=') {
        Some((port, url)) => (port, Some(url)),
        None => (text, None),
    };
    let number = port.trim().parse().ok().filter(|port| *port != 0);
    let port = number.ok_or_else(|| {
        format!("`{port}` is no port (1 to 65535): write it like 8080 or 8443=https://localhost")
    })?;
    let url = url.map(|url| AppUrl::parse(url.trim(), port)).transpose();
    let url = url.map_err(|error| error.to_string())?;
    Ok(OfferedPort { port, url })
}

/// The flags of one command that concern apps.
pub(crate) struct AppFlags<'a> {
    /// The prefix of the flags: `app` or `edge`.
    pub(crate) prefix: &'static str,
    pub(crate) ports: &'a [OfferedPort],
    pub(crate) ca: Option<&'a Path>,
    pub(crate) insecure: bool,
}

impl AppFlags<'_> {
    /// Adds the ports, their URLs and the trusted certificates to the settings of an edge, and reports
    /// contradictions in `mistakes`.
    pub(crate) fn apply(&self, settings: &mut edge::Config, mistakes: &mut Vec<String>) {
        let flag = format!("--{}-port", self.prefix);
        for OfferedPort { port, url } in self.ports {
            let again = |other: &OfferedPort| other.port == *port && other.url != *url;
            if self.ports.iter().any(again) {
                let text =
                    format!("{flag} names port {port} with different apps; keep one of them");
                if !mistakes.contains(&text) {
                    mistakes.push(text);
                }
            }
            settings.ports.insert(*port);
            let Some(url) = url else {
                continue;
            };
            if let Err(error) = url.check_host() {
                mistakes.push(format!("{flag} = `{port}={url}`: {error}"));
            }
            settings.apps.insert(*port, url.clone());
        }
        settings.trust = self.trust(mistakes);
        if settings
            .ports
            .iter()
            .any(|port| !settings.apps.contains_key(port))
        {
            self.warn_elsewhere(&settings.app_host);
        }
    }

    fn trust(&self, mistakes: &mut Vec<String>) -> Trust {
        let Self { prefix, ca, .. } = self;
        if self.insecure && ca.is_some() {
            mistakes.push(format!(
                "--{prefix}-ca and --{prefix}-insecure contradict each other"
            ));
        }
        if self.insecure {
            return Trust::Unverified;
        }
        let trust = Trust::Authorities(ca.map(Into::into));
        if ca.is_some()
            && let Err(reason) = trust.check()
        {
            mistakes.push(format!("--{prefix}-ca: {reason}"));
        }
        trust
    }

    /// Logs a warning when the host of all apps is another machine. Such hosts stay allowed, because
    /// EdgeMatrix's containers name them.
    fn warn_elsewhere(&self, host: &str) {
        let at = Authority {
            host: host.to_owned(),
            port: 1,
        };
        if let Err(UrlError::Elsewhere { address, .. }) = AppUrl::Http(at).check_host() {
            let prefix = self.prefix;
            tracing::warn!(
                %address,
                "--{prefix}-url names another machine: calls go there without encryption; an edge on \
                 that machine keeps them private"
            );
        }
    }
}

/// Describes the place of the app behind a port.
pub(crate) fn place(settings: &edge::Config, port: u16) -> String {
    match settings.apps.get(&port) {
        Some(url) => url.to_string(),
        None => AppUrl::Http(Authority {
            host: settings.app_host.clone(),
            port,
        })
        .to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn applied(ports: &[&str], ca: Option<&Path>, insecure: bool) -> (edge::Config, Vec<String>) {
        let ports: Vec<_> = ports.iter().map(|p| offered_port(p).unwrap()).collect();
        let flags = AppFlags {
            prefix: "app",
            ports: &ports,
            ca,
            insecure,
        };
        let (mut settings, mut mistakes) = (edge::Config::new("localhost", []), Vec::new());
        flags.apply(&mut settings, &mut mistakes);
        (settings, mistakes)
    }

    #[test]
    fn a_port_stands_alone_or_with_the_url_of_its_app() {
        let url = |text: &str| offered_port(text).unwrap().url.map(|url| url.to_string());
        assert_eq!(url("8080"), None);
        assert_eq!(
            url("8080=http://localhost").unwrap(),
            "http://localhost:8080"
        );
        assert_eq!(url("1 = h2c://[::1]:7").unwrap(), "h2c://[::1]:7");
        assert_eq!(offered_port("65535").unwrap().port, 65535);
        for (wrong, part) in [
            ("0", "1 to 65535"),
            ("65536", "`65536` is no port"),
            ("", "write it like 8080"),
            ("http://localhost", "write it like 8080"),
            ("0=http://localhost", "1 to 65535"),
            ("80=", "write it like http://localhost:3000"),
            ("80=3000", "write it like http://localhost:3000"),
            ("80=https://localhost/x", "leave out `/x`"),
        ] {
            let error = offered_port(wrong).unwrap_err();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }

    #[test]
    fn ports_with_and_without_urls_are_offered() {
        let (settings, mistakes) = applied(&["80", "443=https://localhost", "80"], None, false);
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(settings.ports, [80, 443].into());
        assert_eq!(place(&settings, 80), "http://localhost:80");
        assert_eq!(place(&settings, 443), "https://localhost:443");
        assert_eq!(settings.trust, Trust::Authorities(None));
    }

    #[test]
    fn contradictions_and_apps_of_other_machines_are_mistakes() {
        let (_, mistakes) = applied(&["80", "80=https://localhost", "80"], None, false);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].contains("port 80 with different apps"));
        let (_, mistakes) = applied(&["80=http://192.0.2.1"], None, false);
        let start = "--app-port = `80=http://192.0.2.1:80`: the host 192.0.2.1 is not this machine";
        assert!(mistakes[0].starts_with(start), "{mistakes:?}");
        let missing = Path::new("no/such.pem");
        let (_, mistakes) = applied(&["80"], Some(missing), false);
        assert!(
            mistakes[0].contains("--app-ca: no/such.pem"),
            "{mistakes:?}"
        );
        let (settings, mistakes) = applied(&["80"], Some(missing), true);
        assert!(mistakes[0].contains("contradict"), "{mistakes:?}");
        assert_eq!(settings.trust, Trust::Unverified);
    }
}
