//! What was sent, what was answered, and what arrived.

use std::collections::BTreeMap;

use crate::message::{Driver, Fate, Key};

/// What becomes of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It was answered, or nobody touched what it went through: it must be in both outputs.
    Owed,
    /// Plain TCP while intake died or its connections broke: it may be lost, and may not be there twice.
    MayBeLost,
}

/// The messages of one driver in one round.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) duty: Duty,
    messages: Vec<Seen>,
}

/// How often a message was sent and seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) sends: u32,
    pub(crate) rows: u32,
    pub(crate) lines: u32,
    pub(crate) letters: u32,
    pub(crate) fate: Fate,
}

/// Where an event was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Row,
    Line,
    /// Among the dead letters.
    Letter,
}

/// All messages of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    streams: BTreeMap<(u32, Driver), Stream>,
}

/// What the ledger says of what was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) messages: u64,
    pub(crate) obligations: u64,
    /// Owed and not in PostgreSQL.
    pub(crate) lost_rows: u64,
    /// Owed and not in the files.
    pub(crate) lost_lines: u64,
    /// Rows beyond the times that their message was sent.
    pub(crate) duplicate_rows: u64,
    /// The same in the files.
    pub(crate) duplicate_lines: u64,
    /// Dropped by a rule, and so in no output.
    pub(crate) dropped: u64,
    /// Found among the dead letters, where a rule sent them.
    pub(crate) dead: u64,
    /// Owed to the dead letters and not there. They are looked at when the run ends.
    pub(crate) lost_letters: u64,
    /// Dead letters beyond the times that their message was sent.
    pub(crate) duplicate_letters: u64,
}

impl Balance {
    /// In the outputs, at any time.
    pub(crate) fn is_all_there(&self) -> bool {
        self.lost_rows == 0 && self.lost_lines == 0
    }

    /// Before anybody has looked at dead letters.
    pub(crate) fn without_letters(self) -> Self {
        Self {
            lost_letters: 0,
            ..self
        }
    }

    /// At the end.
    pub(crate) fn is_even(&self) -> bool {
        self.is_all_there()
            && self.duplicate_rows == 0
            && self.duplicate_lines == 0
            && self.lost_letters == 0
            && self.duplicate_letters == 0
    }
}

impl Ledger {
    /// Enters how often each message of a driver was sent, with what becomes of it.
    pub(crate) fn enter(&mut self, (round, driver): (u32, Driver), duty: Duty, sends: &[(u32, Fate)]) {
        let seen = |(sends, fate): &(u32, Fate)| Seen {
            sends: *sends,
            fate: *fate,
            ..Seen::default()
        };
        let messages = sends.iter().map(seen).collect();
        self.streams.insert((round, driver), Stream { duty, messages });
    }

    /// Forgets what was found, of one round or of all, to look again.
    pub(crate) fn look_again(&mut self, place: Place, round: Option<u32>) {
        for ((of, _), stream) in &mut self.streams {
            if round.is_none_or(|round| round == *of) {
                for seen in &mut stream.messages {
                    *seen.count(place) = 0;
                }
            }
        }
    }

    /// Enters an event that was found; `false` if nobody sent it there.
    pub(crate) fn found(&mut self, key: Key, place: Place) -> bool {
        let stream = self.streams.get_mut(&(key.round, key.driver));
        let number = usize::try_from(key.number).unwrap_or(usize::MAX);
        let seen = stream.and_then(|stream| stream.messages.get_mut(number));
        match seen {
            Some(seen) if seen.sends > 0 && seen.fate.leads_to(place) => {
                *seen.count(place) += 1;
                true
            }
            _ => false,
        }
    }

    /// The balance of one round or of all.
    pub(crate) fn balance(&self, round: Option<u32>) -> Balance {
        let mut balance = Balance::default();
        for ((of, _), stream) in &self.streams {
            if round.is_some_and(|round| round != *of) {
                continue;
            }
            let is_owed = stream.duty == Duty::Owed;
            for seen in stream.messages.iter().filter(|seen| seen.sends > 0) {
                balance.messages += 1;
                balance.add(seen, is_owed);
            }
        }
        balance
    }

    /// Whether all messages of a driver are in both outputs.
    pub(crate) fn is_there(&self, round: u32, driver: Driver) -> bool {
        let stream = self.streams.get(&(round, driver));
        stream.is_some_and(|stream| stream.messages.iter().all(|seen| seen.rows > 0 && seen.lines > 0))
    }

    /// The first few messages that are lost or there too often, for people who look for the cause. Dead letters count when
    /// they were looked at.
    pub(crate) fn suspects(&self, count: usize, has_letters: bool) -> Vec<String> {
        let all = self.streams.iter().flat_map(|((round, driver), stream)| {
            (0..).zip(&stream.messages).map(move |(number, seen)| {
                let key = Key {
                    round: *round,
                    driver: *driver,
                    number,
                };
                (key, stream.duty, seen)
            })
        });
        all.filter(|(_, _, seen)| has_letters || seen.fate != Fate::Dead)
            .filter(|(_, duty, seen)| {
                let is_lost = *duty == Duty::Owed && seen.sends > 0 && seen.is_lost();
                is_lost
                    || [seen.rows, seen.lines, seen.letters]
                        .iter()
                        .any(|found| *found > seen.sends)
            })
            .take(count)
            .map(|(key, _, seen)| {
                format!(
                    "{key}: {:?}, sent {} times, {} rows, {} lines, {} dead letters",
                    seen.fate, seen.sends, seen.rows, seen.lines, seen.letters
                )
            })
            .collect()
    }
}

impl Balance {
    fn add(&mut self, seen: &Seen, is_owed: bool) {
        match seen.fate {
            Fate::Kept => {
                self.obligations += u64::from(is_owed);
                self.lost_rows += u64::from(is_owed && seen.rows == 0);
                self.lost_lines += u64::from(is_owed && seen.lines == 0);
                self.duplicate_rows += u64::from(seen.rows.saturating_sub(seen.sends));
                self.duplicate_lines += u64::from(seen.lines.saturating_sub(seen.sends));
            }
            Fate::Dropped => self.dropped += 1,
            Fate::Dead => {
                self.obligations += u64::from(is_owed);
                self.dead += u64::from(seen.letters > 0);
                self.lost_letters += u64::from(is_owed && seen.letters == 0);
                self.duplicate_letters += u64::from(seen.letters.saturating_sub(seen.sends));
            }
        }
    }
}

impl Fate {
    fn leads_to(self, place: Place) -> bool {
        match self {
            Self::Kept => place != Place::Letter,
            Self::Dropped => false,
            Self::Dead => place == Place::Letter,
        }
    }
}

impl Seen {
    fn is_lost(&self) -> bool {
        match self.fate {
            Fate::Kept => self.rows == 0 || self.lines == 0,
            Fate::Dropped => false,
            Fate::Dead => self.letters == 0,
        }
    }

    fn count(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::Row => &mut self.rows,
            Place::Line => &mut self.lines,
            Place::Letter => &mut self.letters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(driver: Driver, number: u32) -> Key {
        Key {
            round: 1,
            driver,
            number,
        }
    }

    #[test]
    fn what_is_owed_is_missed_and_what_is_too_much_is_counted() {
        let (relp, tcp) = (Driver::Relp(0), Driver::TcpLines);
        let mut ledger = Ledger::default();
        let kept = |sends: [u32; 3]| sends.map(|sends| (sends, Fate::Kept));
        ledger.enter((1, relp), Duty::Owed, &kept([1, 2, 1]));
        ledger.enter((1, tcp), Duty::MayBeLost, &kept([1, 0, 1]));
        for key in [key(relp, 0), key(relp, 1), key(relp, 1), key(tcp, 0), key(tcp, 0)] {
            assert!(ledger.found(key, Place::Row));
        }
        assert!(ledger.found(key(relp, 2), Place::Line));
        assert!(!ledger.found(key(tcp, 1), Place::Row), "it was never sent");
        assert!(!ledger.found(key(Driver::Fresh, 0), Place::Row));
        let balance = Balance {
            messages: 5,
            obligations: 3,
            lost_rows: 1,
            lost_lines: 2,
            duplicate_rows: 1,
            ..Balance::default()
        };
        assert_eq!(ledger.balance(None), balance);
        assert_eq!(ledger.balance(Some(2)), Balance::default());
        assert_eq!(ledger.suspects(10, true).len(), 4);
        ledger.look_again(Place::Row, Some(1));
        assert_eq!(ledger.balance(None).lost_rows, 3);
    }

    #[test]
    fn what_rules_drop_and_send_astray_is_accounted_for() {
        let relp = Driver::Relp(0);
        let mut ledger = Ledger::default();
        let fates = [Fate::Kept, Fate::Dropped, Fate::Dead, Fate::Dead];
        ledger.enter((1, relp), Duty::Owed, &fates.map(|fate| (1, fate)));
        for place in [Place::Row, Place::Line] {
            assert!(ledger.found(key(relp, 0), place));
            assert!(!ledger.found(key(relp, 1), place), "it was to be dropped");
            assert!(!ledger.found(key(relp, 2), place), "it was to be a dead letter");
        }
        assert!(!ledger.found(key(relp, 0), Place::Letter), "it was to be kept");
        assert!(ledger.found(key(relp, 2), Place::Letter));
        let balance = ledger.balance(None);
        assert!(balance.is_all_there() && !balance.is_even());
        let expected = Balance {
            messages: 4,
            obligations: 3,
            dropped: 1,
            dead: 1,
            lost_letters: 1,
            ..Balance::default()
        };
        assert_eq!(balance, expected);
        for _ in 0..2 {
            assert!(ledger.found(key(relp, 3), Place::Letter));
        }
        assert_eq!(ledger.balance(None).duplicate_letters, 1);
        assert_eq!(ledger.suspects(10, true).len(), 1);
    }
}
