//! A caller by curl with a cookie jar, for the tests of the login at an app's own port.

use peerwork_tunnel::{Created, KeyStore, NewKey};
use tempfile::TempDir;
use tokio::process::Command;

use crate::world::{Setup, World};

pub(crate) const LOGIN: &str = "/.well-known/peerwork/login";
pub(crate) const LOGOUT: &str = "/.well-known/peerwork/logout";
const HTML: &str = "accept: text/html,application/xhtml+xml,*/*;q=0.8";

/// A folder with a cookie jar and stores of keys.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(named, _)| *named == name)
            .map(|(_, value)| value)
            .collect()
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub(crate) fn store(&self, name: &str) -> KeyStore {
        KeyStore::open(&self.folder.path().join(name)).unwrap()
    }

    /// Calls a URL with the cookies of the jar.
    pub(crate) async fn curl(&self, url: &str, more: &[&str]) -> Answer {
        let output = Command::new("curl")
            .current_dir(self.folder.path())
            .args(["-sS", "-i", "--max-time", "20", "-b", "jar", "-c", "jar"])
            .args(more)
            .arg(url)
            .output()
            .await
            .expect("curl is installed by cargo xtask test");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (head, body) = text
            .rsplit_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{output:?}"));
        let last = head.rsplit("\r\n\r\n").next().unwrap();
        Answer {
            status: last.split_whitespace().nth(1).unwrap().parse().unwrap(),
            head: last.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// Calls a URL as a browser that navigates.
    pub(crate) async fn visit(&self, url: &str, more: &[&str]) -> Answer {
        self.curl(url, &[&["-H", HTML], more].concat()).await
    }

    /// Sends the login form.
    pub(crate) async fn log_in(&self, base: &str, key: &str, more: &[&str]) -> Answer {
        let key = format!("key={key}");
        let form = [
            "--data-urlencode",
            &key,
            "--data-urlencode",
            "to=/headers?a=1",
        ];
        let more = [&form[..], more].concat();
        self.visit(&format!("{base}{LOGIN}"), &more).await
    }

    /// The token of the login in the jar.
    pub(crate) fn token(&self) -> String {
        let jar = std::fs::read_to_string(self.folder.path().join("jar")).unwrap();
        jar.split_whitespace().last().unwrap().to_owned()
    }

    pub(crate) fn forget_cookies(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("jar"));
    }
}

pub(crate) async fn world(change: impl FnOnce(&mut Setup)) -> (World, String) {
    let world = World::with(|setup| {
        setup.app_ports.push(false);
        change(setup);
    })
    .await;
    let base = format!("http://{}", world.ingress.app_addresses()[0]);
    (world, base)
}

/// A world whose relay asks for keys, with such a key.
pub(crate) async fn with_relay_key(desk: &Desk) -> (World, String, KeyStore, Created) {
    let store = desk.store("relay.json");
    let key = store.create(NewKey::default()).unwrap();
    let (world, base) = world(|setup| setup.ingress.auth = Some(store.clone())).await;
    (world, base, store, key)
}
