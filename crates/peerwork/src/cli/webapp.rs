//! `peerwork webapp`: runs the example web app.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use peerwork::{addresses::reachable, webapp::WebApp};
use serde::Serialize;

use super::{
    command::{Call, Command},
    output::{Answer, Form},
    runtime::block_on,
    signals::Signals,
    values::socket_address,
};

/// `peerwork webapp`
#[derive(Args, Debug)]
pub(crate) struct WebappFlags {
    /// The address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9527", value_parser = socket_address)]
    listen: SocketAddr,
}

#[derive(Serialize)]
struct Running {
    url: String,
}

impl Answer for Running {
    fn text(&self) -> String {
        format!("Server is running, access {}", self.url)
    }
}

impl Command for WebappFlags {
    const NAME: &'static str = "webapp";
    const ABOUT: &'static str = "Run the example web app";

    /// Fails when the address cannot be bound, or the app does not stop in time.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (_, form) = call.with_quiet_log()?;
        block_on(run(&self, form))
    }
}

/// Runs the web app until a signal.
async fn run(flags: &WebappFlags, form: Form) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let app = WebApp::start(flags.listen).await.with_context(|| {
        format!(
            "the web app cannot listen on {}: name a free address by --listen",
            flags.listen
        )
    })?;
    let address = reachable(app.address());
    let url = match address.ip() == std::net::Ipv4Addr::LOCALHOST {
        true => format!("http://localhost:{}/home", address.port()),
        false => format!("http://{address}/home"),
    };
    form.announce(&Running { url });
    signals.stop_on_signal(app.stop()).await
}
