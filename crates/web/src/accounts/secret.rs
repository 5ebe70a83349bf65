//! Random secrets: of sessions, tokens and links. Only their hashes are kept.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use store::SecretHash;

const BYTES: usize = 32;

/// What stands for the session where there is none.
pub(super) const SESSIONLESS: SecretHash = SecretHash([0; 32]);

/// 256 random bits.
pub(super) struct Secret([u8; BYTES]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    pub(super) fn random() -> Self {
        let mut bytes = [0; BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// For a cookie, a link or a header.
    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(super) fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0).into())
    }

    /// Of the text of a secret, if it can be one.
    pub(super) fn hash_of(text: &str) -> Option<SecretHash> {
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        Some(Self(bytes).hash())
    }

    /// What only who has this secret can make of `hash`.
    pub(super) fn with(&self, hash: SecretHash) -> String {
        let mut digest = Sha256::new();
        // Both have a fixed length, and nothing is appended to what comes out.
        digest.update(self.0);
        digest.update(hash.0);
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

/// What only who knows `hash` can make of it, and from which it cannot be found: who has the secret, and the store.
pub(super) fn mark(hash: SecretHash) -> String {
    let mut digest = Sha256::new();
    digest.update(b"logferry csrf");
    digest.update(hash.0);
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_text() {
        let secret = Secret::random();
        assert_eq!(Secret::hash_of(&secret.text()), Some(secret.hash()));
        assert_ne!(Secret::random().text(), secret.text());
        for text in ["", "x", "é", "AAAA", &format!("{}A", secret.text())] {
            assert_eq!(Secret::hash_of(text), None, "{text}");
        }
    }
}
