//! TLS of a listener, made anew when its files change. Connections that are open keep what they were made with.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::metrics::gauge::Gauge;
use settings::{ClientCert, TlsServerSettings};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_rustls::TlsAcceptor;
use x509_parser::parse_x509_certificate;

use crate::{error::TlsError, tls};

/// How often the files are looked at: renewals are weeks before the end, and a look reads some KiB.
const LOOK_PAUSE: Duration = Duration::from_secs(10);
/// Certificates that end within this are warned of.
const SOON: Duration = Duration::from_secs(30 * 86_400);
/// And again after this.
const WARNING_PAUSE: Duration = Duration::from_secs(86_400);

/// The certificate of a listener, and what its files held when it was made.
pub(crate) struct Certificates {
    settings: TlsServerSettings,
    /// Between two looks.
    pub(crate) pause: Duration,
    acceptor: TlsAcceptor,
    /// When the first certificate of the chain ends, in seconds since 1970.
    not_after: i64,
    /// Of the files of `acceptor`.
    contents: u64,
    /// Of files that did not work when they were looked at last.
    refused: Option<u64>,
    /// Whether that was said.
    is_refusal_told: bool,
}

/// What a look at the files found.
#[derive(Debug)]
pub(crate) enum Look {
    Same,
    Changed,
    /// They changed, and do not work: the certificate stays. It may be that only some of them are written yet.
    Unfinished,
    /// The same at the second look, said once.
    Refused(TlsError),
}

impl Certificates {
    pub(crate) fn open(settings: &TlsServerSettings) -> Result<Self, TlsError> {
        // Before the files are used: what changes in between is seen at the next look.
        let contents = contents(settings);
        Ok(Self {
            acceptor: tls::acceptor(settings)?,
            not_after: not_after(settings)?,
            settings: settings.clone(),
            pause: LOOK_PAUSE,
            contents,
            refused: None,
            is_refusal_told: false,
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Reads the files, and uses them if they are others than before.
    pub(crate) fn look(&mut self) -> Look {
        let contents = contents(&self.settings);
        if contents == self.contents {
            self.refused = None;
            return Look::Same;
        }
        match Self::open(&self.settings) {
            Ok(new) => {
                let pause = self.pause;
                *self = Self { pause, ..new };
                Look::Changed
            }
            Err(_) if self.refused != Some(contents) => {
                self.refused = Some(contents);
                self.is_refusal_told = false;
                Look::Unfinished
            }
            Err(_) if self.is_refusal_told => Look::Same,
            Err(error) => {
                self.is_refusal_told = true;
                Look::Refused(error)
            }
        }
    }

    /// Looks at the files for as long as it is polled, and passes on what works.
    pub(crate) async fn watch(
        mut self,
        listener: String,
        expiry: Gauge,
        current: watch::Sender<TlsAcceptor>,
    ) {
        let mut looks = interval(self.pause);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warned_at = None;
        loop {
            looks.tick().await;
            let looked = spawn_blocking(move || {
                let look = self.look();
                (self, look)
            });
            let look;
            (self, look) = match looked.await {
                Ok(looked) => looked,
                // Nobody cancels it, so it ends early only by a panic, which goes on here.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            match look {
                Look::Same | Look::Unfinished => {}
                Look::Changed => {
                    current.send_replace(self.acceptor());
                    warned_at = None;
                    tracing::info!(listener, "certificate loaded anew");
                }
                Look::Refused(error) => {
                    let error = chain(&error);
                    tracing::error!(
                        listener,
                        error,
                        "new certificate does not work, the old one stays"
                    );
                }
            }
            expiry.set(self.not_after);
            if warned_at.is_none_or(|at: Instant| at.elapsed() >= WARNING_PAUSE) && self.warn(&listener) {
                warned_at = Some(Instant::now());
            }
        }
    }

    /// Whether there was something to warn of.
    fn warn(&self, listener: &str) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = self.not_after.saturating_sub_unsigned(now.as_secs());
        let file = self.settings.cert_file.display();
        match u64::try_from(left) {
            Ok(left) if left > SOON.as_secs() => return false,
            Ok(left) => {
                let days = left / 86_400;
                tracing::warn!(listener, %file, days, "certificate expires soon");
            }
            Err(_) => tracing::error!(listener, %file, "certificate has expired"),
        }
        true
    }
}

/// The text of an error and of what led to it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn files(settings: &TlsServerSettings) -> Vec<&PathBuf> {
    let mut files = vec![&settings.cert_file, &settings.key_file];
    match &settings.client_cert {
        ClientCert::Off => {}
        ClientCert::Optional(ca_file) | ClientCert::Required(ca_file) => files.push(ca_file),
    }
    files
}

/// A number for what the files hold: links may lead elsewhere without a new time of change. The key is not kept.
fn contents(settings: &TlsServerSettings) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files(settings) {
        // A file that is gone has contents of its own.
        fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// When the first of the certificates that senders are shown ends.
fn not_after(settings: &TlsServerSettings) -> Result<i64, TlsError> {
    let certificates = tls::read_certificates(&settings.cert_file)?;
    let ends = certificates.iter().filter_map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    Ok(ends.min().unwrap_or(0))
}
