//! Orders that have a key: sent again, because their answer was lost, they are not done again.
//!
//! They are kept in memory, by the process that took them: the newest so many, for so long.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use sha2::{Digest as _, Sha256};

use super::{order::Order, progress::Told};
use crate::problem::Problem;

const KEPT_MAX: usize = 256;
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const KEY_BYTES_MAX: usize = 100;

/// The orders, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Keys(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    name: Name,
    at: Instant,
    told: Told,
}

/// Whose order it is, how it is called, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    author: String,
    key: String,
    digest: [u8; 32],
}

impl Name {
    /// Of an order to do `what`; `None` where it has no key.
    pub(super) fn of(order: &Order, what: &str, author: String) -> Result<Option<Self>, Problem> {
        let key = &order.key;
        if key.is_empty() {
            return Ok(None);
        }
        if key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::bad_request(
                "key",
                format!(
                    "key must have 1 to {KEY_BYTES_MAX} letters, digits and signs of ASCII, and no spaces."
                ),
            ));
        }
        let order = serde_json::to_vec(&(what, order)).map_err(Problem::internal)?;
        Ok(Some(Self {
            author,
            key: key.clone(),
            digest: Sha256::digest(order).into(),
        }))
    }
}

impl Keys {
    /// What came of this order before, or what `begin` makes of it now. What could not be done to its end is not kept,
    /// so that it is tried again.
    pub(super) fn told(&mut self, name: Name, begin: impl FnOnce() -> Told) -> Result<Told, Problem> {
        let orders = &mut self.0;
        orders.retain(|entry| entry.at.elapsed() < KEPT_FOR && !entry.told.has_failed());
        let known = orders
            .iter()
            .find(|entry| entry.name.author == name.author && entry.name.key == name.key);
        match known {
            Some(entry) if entry.name.digest == name.digest => Ok(entry.told.clone()),
            Some(_) => Err(Problem::new(
                StatusCode::CONFLICT,
                "key_used",
                "Another order had this key. A key is for one order, and for sending the same order again.",
            )),
            None => {
                if orders.len() >= KEPT_MAX {
                    orders.pop_front();
                }
                let told = begin();
                orders.push_back(Entry {
                    name,
                    at: Instant::now(),
                    told: told.clone(),
                });
                Ok(told)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::progress::Progress, *};

    fn order(key: &str, id: &str) -> Order {
        Order {
            key: key.to_owned(),
            ids: vec![id.to_owned()],
            ..Order::default()
        }
    }

    fn name(key: &str, id: &str, author: &str) -> Name {
        let name = Name::of(&order(key, id), "requeue", author.to_owned());
        name.unwrap().unwrap()
    }

    #[test]
    fn an_order_is_begun_once() {
        let mut keys = Keys::default();
        let (progress, mut begun) = (Progress::unheard(), 0);
        let mut send = |keys: &mut Keys, name| {
            let begin = || {
                begun += 1;
                progress.told()
            };
            keys.told(name, begin).map(drop).map_err(|problem| problem.code())
        };
        assert_eq!(send(&mut keys, name("a", "1", "ana")), Ok(()));
        assert_eq!(send(&mut keys, name("a", "1", "ana")), Ok(()));
        assert_eq!(send(&mut keys, name("a", "2", "ana")), Err("key_used"));
        assert_eq!(send(&mut keys, name("a", "2", "ben")), Ok(()));
        for number in 0..KEPT_MAX {
            let name = name(&number.to_string(), "1", "ana");
            assert_eq!(send(&mut keys, name), Ok(()));
        }
        assert_eq!((keys.0.len(), begun), (KEPT_MAX, 2 + KEPT_MAX));
    }

    #[test]
    fn keys_are_short_and_plain() {
        for key in ["a b", "ü", "\n", &"x".repeat(101)] {
            assert!(
                Name::of(&order(key, "1"), "requeue", String::new()).is_err(),
                "{key}"
            );
        }
        assert_eq!(Name::of(&order("", "1"), "requeue", String::new()).unwrap(), None);
        let of = |what: &str| Name::of(&order("a", "1"), what, String::new()).unwrap();
        assert_ne!(of("requeue"), of("discard"));
    }
}
