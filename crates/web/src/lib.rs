//! The web pages and the HTTP API: what is in the store and what goes on, for people with a browser and for programs.
//! Reads; the only things it writes are accounts, sessions and tokens, and what people order on a page.
//!
//! The pages are HTML that works without JavaScript; the modules in `assets/` only add. Everything is in the binary.
//! Each kind of page is a module with `routes()`; [`Server`] puts them behind one guard, which knows who asks and what
//! they may, and one set of headers, which lets nothing but our own files run.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut settings = settings::Settings::default().web;
//! settings.address = Some(([127, 0, 0, 1], 0).into());
//! let server = web::Server::bind(&settings)?.expect("an address is set");
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! # Ok::<(), anyhow::Error>(())
//! # })?;
//! # Ok::<(), anyhow::Error>(())
//! ```

mod accounts;
mod api;
mod assets;
mod cookie;
mod dead;
mod guard;
mod headers;
mod html;
mod hub;
mod number;
mod patterns;
mod pipeline;
mod problem;
mod running;
mod saved;
mod search;
mod server;
mod shell;
mod sources;
mod spark;
mod state;
mod stream;
mod tail;
mod time;

pub use crate::server::Server;

/// The name of the service, and of its part in `/readyz`.
pub const STAGE: &str = "web";

/// Its heartbeat.
pub const PULSE: service::Pulse = service::Pulse {
    service: STAGE,
    version: env!("CARGO_PKG_VERSION"),
    measures: &[],
};

/// What `main` and the manual need to know of it.
pub const SPEC: service::ServiceSpec = service::ServiceSpec {
    name: STAGE,
    about: "Serves the web pages: search, live tail, pipeline, dead letters, sources",
    examples: "  web --config /etc/logferry/logferry.toml
      Run with this settings file; the pages are at web.address
  web --set web.address=0.0.0.0:8080
      For other machines too: the first start prints a link by which the first account is made
  web --check
      Tell every mistake in the settings, and exit",
    version: env!("CARGO_PKG_VERSION"),
    check: |settings| {
        anyhow::ensure!(
            settings.web.address.is_some(),
            "web.address is \"off\": set it to the address of the pages, such as 127.0.0.1:8080"
        );
        Ok(())
    },
    reads: &["web.", "store.", "shipper_pgsql.", "shipper_fs."],
};
