//! Text that must not appear in logs, `Debug` or metrics.

use std::{fmt, fs::File, io::Read, path::Path};

/// A larger file was named by mistake.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A password, or an address with a password in it. `Debug` shows only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `text`, when it can be a secret.
pub(crate) fn checked(text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line, without control characters".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

/// The text of a file, without the line end that editors and `echo` leave there.
pub(crate) fn in_file(path: &Path) -> Result<Secret, String> {
    let unreadable = |problem: &dyn fmt::Display| format!("cannot read {}: {problem}", path.display());
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    // A folder opens, and reading it fails; a file in /proc or a pipe has no length.
    let mut bytes = Vec::new();
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    let read = read.map_err(|error| unreadable(&error))?;
    if read as u64 > SECRET_BYTES_MAX {
        return Err(unreadable(&"it is larger than 64 KiB, so it is no secret"));
    }
    let text = String::from_utf8(bytes).map_err(|_not_utf8| unreadable(&"it is not UTF-8 text"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    checked(line).map_err(|problem| format!("what is in it {problem}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_gives_its_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("secret");
        let told = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("writes");
            in_file(&path).map(|secret| secret.expose().to_owned())
        };
        for (bytes, expected) in [
            (&b"hunter2"[..], "hunter2"),
            (b"hunter2\n", "hunter2"),
            (b"hunter2\r\n", "hunter2"),
            (b" hunter2 ", " hunter2 "),
        ] {
            assert_eq!(told(bytes).as_deref(), Ok(expected));
        }
        for (bytes, expected) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\n\n", "must be one line"),
            (b"hunter2\0", "must be one line"),
            (b"hunter2\xff", "not UTF-8"),
            (&[b'2'; 65537], "larger than 64 KiB"),
        ] {
            let told = told(bytes).expect_err("is no secret");
            assert!(told.contains(expected) && !told.contains("hunter2"), "{told}");
        }
        let missing = in_file(&dir.path().join("none")).expect_err("is not there");
        assert!(missing.contains("none: No such file"), "{missing}");
        assert!(in_file(dir.path()).is_err(), "a folder");
    }

    #[test]
    fn debug_does_not_show_it() {
        assert!(!format!("{:?}", Secret::new("hunter2".into())).contains("hunter2"));
    }
}
