//! Facility and severity, the two halves of a syslog priority (RFC 5424 section 6.2.1).

use std::{fmt, str::FromStr};

/// A facility name or severity name that RFC 5424 and syslog.h do not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known {1}")]
pub struct UnknownName(String, &'static str);

/// How urgent an event is: 0 (`emerg`) to 7 (`debug`), so a *smaller* value is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

/// Names by code, as `syslog.h` and `logger -p` write them.
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

impl Severity {
    /// `None` above 7.
    #[must_use]
    pub const fn new(code: u8) -> Option<Self> {
        if code < 8 { Some(Self(code)) } else { None }
    }

    /// The numerical code, 0 to 7.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The keyword of `syslog.h`: `emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info`, `debug`.
    #[must_use]
    pub fn name(self) -> &'static str {
        SEVERITIES.get(usize::from(self.0)).copied().unwrap_or("debug")
    }
}

impl FromStr for Severity {
    type Err = UnknownName;

    /// Takes a keyword, a common alias (`error`, `warn`, `critical`, `panic`, `emergency`, `information`,
    /// `informational`) in any case, or the numerical code.
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let lower = text.to_ascii_lowercase();
        let code = match lower.as_str() {
            "emerg" | "emergency" | "panic" | "0" => 0,
            "alert" | "1" => 1,
            "crit" | "critical" | "fatal" | "2" => 2,
            "err" | "error" | "3" => 3,
            "warning" | "warn" | "4" => 4,
            "notice" | "5" => 5,
            "info" | "information" | "informational" | "6" => 6,
            "debug" | "trace" | "7" => 7,
            _ => return Err(UnknownName(text.to_owned(), "severity")),
        };
        Ok(Self(code))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which part of a system an event came from: 0 (`kern`) to 23 (`local7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Facility(u8);

/// Names by code, as `syslog.h` writes them; 12 to 15 as RFC 5424 table 1 describes them.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

impl Facility {
    /// `user`, the facility of what does not name one (RFC 3164 section 4.3.3).
    pub const USER: Self = Self(1);

    /// `None` above 23.
    #[must_use]
    pub const fn new(code: u8) -> Option<Self> {
        if code < 24 { Some(Self(code)) } else { None }
    }

    /// The numerical code, 0 to 23.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The keyword of `syslog.h`, such as `kern`, `authpriv`, `local0`.
    #[must_use]
    pub fn name(self) -> &'static str {
        FACILITIES.get(usize::from(self.0)).copied().unwrap_or("local7")
    }
}

impl FromStr for Facility {
    type Err = UnknownName;

    /// Takes a keyword in any case (also `security` for `auth`), or the numerical code.
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let lower = text.to_ascii_lowercase();
        let by_name = FACILITIES.iter().position(|name| *name == lower);
        let code = match (by_name, lower.as_str()) {
            (Some(code), _) => u8::try_from(code).ok(),
            (None, "security") => Some(4),
            (None, digits) => digits.parse().ok(),
        };
        code.and_then(Self::new)
            .ok_or_else(|| UnknownName(text.to_owned(), "facility"))
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for code in 0..8 {
            let severity = Severity::new(code).unwrap();
            assert_eq!(severity.name().parse(), Ok(severity));
            assert_eq!(code.to_string().parse(), Ok(severity));
        }
        for code in 0..24 {
            let facility = Facility::new(code).unwrap();
            assert_eq!(facility.name().parse(), Ok(facility));
            assert_eq!(code.to_string().parse(), Ok(facility));
        }
        assert_eq!("Error".parse::<Severity>().unwrap().name(), "err");
        assert!("24".parse::<Facility>().is_err());
        assert!("8".parse::<Severity>().is_err());
    }
}
