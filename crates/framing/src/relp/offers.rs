//! What the two sides of a session tell each other when it opens: one `name=value` a line.

/// How we introduce ourselves: name and version, separated by a comma.
pub const SOFTWARE: &str = concat!(
    "logferry,",
    env!("CARGO_PKG_VERSION"),
    ",https://github.com/logferry"
);

/// The versions of the protocol that we speak. They differ only in name.
const VERSION_MAX: u32 = 1;

/// The `open` data or its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers<'a> {
    /// `relp_version`.
    pub version: u32,
    /// `relp_software`; absent in older senders.
    pub software: Option<&'a str>,
    /// True when `commands` holds `syslog`.
    pub can_syslog: bool,
}

/// Why offers are refused; the text is for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadOffers {
    /// Not text.
    #[error("offers are not text")]
    NotText,
    /// No `relp_version`, or no number.
    #[error("required offer relp_version is missing or no number")]
    Version,
}

impl<'a> Offers<'a> {
    /// From the data of `open`, or from the answer to it without its status line. Offers that we do not know
    /// are passed over, as the protocol demands.
    ///
    /// # Errors
    /// [`BadOffers`]: what the session cannot do without.
    pub fn read(data: &'a [u8]) -> Result<Self, BadOffers> {
        let text = std::str::from_utf8(data).or(Err(BadOffers::NotText))?;
        let (mut version, mut software, mut can_syslog) = (None, None, false);
        for line in text.lines() {
            match line.split_once('=') {
                Some(("relp_version", value)) => version = value.parse().ok(),
                Some(("relp_software", value)) => software = Some(value),
                Some(("commands", value)) => can_syslog = value.split(',').any(|command| command == "syslog"),
                _ => {}
            }
        }
        Ok(Self {
            version: version.ok_or(BadOffers::Version)?,
            software,
            can_syslog,
        })
    }

    /// Our own, in a version that both sides speak.
    #[must_use]
    pub fn answer(&self) -> Offers<'static> {
        Offers::ours(self.version.min(VERSION_MAX))
    }

    /// Our own.
    #[must_use]
    pub const fn ours(version: u32) -> Offers<'static> {
        Offers {
            version,
            software: Some(SOFTWARE),
            can_syslog: true,
        }
    }
}

impl std::fmt::Display for Offers<'_> {
    /// As they stand on the wire.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "relp_version={}", self.version)?;
        if let Some(software) = self.software {
            write!(f, "\nrelp_software={software}")?;
        }
        if self.can_syslog {
            f.write_str("\ncommands=syslog")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_librelp_offers() {
        let data =
            b"relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog";
        let offers = Offers::read(data).unwrap();
        assert_eq!(offers.version, 0);
        assert_eq!(offers.software, Some("librelp,1.11.0,http://librelp.adiscon.com"));
        assert!(offers.can_syslog);
        assert_eq!(offers.answer().version, 0);
        let ours = offers.answer().to_string();
        assert_eq!(Offers::read(ours.as_bytes()), Ok(Offers::ours(0)));
    }

    #[test]
    fn a_newer_peer_gets_our_newest_version() {
        let offers = Offers::read(b"relp_version=7\r\ncommands=eventlog,syslog\nnew_thing=1").unwrap();
        assert_eq!((offers.answer().version, offers.can_syslog), (1, true));
    }

    #[test]
    fn a_session_needs_a_version() {
        assert_eq!(Offers::read(b"commands=syslog"), Err(BadOffers::Version));
        assert_eq!(Offers::read(b"relp_version=x"), Err(BadOffers::Version));
        assert_eq!(Offers::read(b""), Err(BadOffers::Version));
        assert_eq!(Offers::read(b"\xff"), Err(BadOffers::NotText));
    }
}
