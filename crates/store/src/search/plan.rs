//! What a selection asks, taken apart: ranges of time, which choose partitions and files, and the rest.

use event::{EventId, Timestamp};
use query::{Expr, Pattern, Piece, Term, TextMatch, TimeField, ValueMatch, WordField};

use super::{Clock, Cursor, Order, Selection, arrival_of, names::Names};

/// Hosts whose rows an index finds sooner than a walk.
const FEW_HOSTS: usize = 4;

/// From the first microsecond to the one behind the last.
pub(crate) type Range = (i64, i64);

/// A selection, ready to be run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// By our clock.
    pub(crate) arrival: Range,
    /// By the sender's clock.
    pub(crate) sender: Range,
    /// What must hold besides.
    pub(crate) rest: Expr,
    pub(crate) now: Timestamp,
}

impl Plan {
    pub(crate) fn of(selection: &Selection) -> Self {
        let mut plan = Self {
            arrival: (i64::MIN, i64::MAX),
            sender: (i64::MIN, i64::MAX),
            rest: Expr::Every,
            now: selection.now,
        };
        let clock = match selection.clock {
            Clock::Arrival => TimeField::ReceivedAt,
            Clock::Sender => TimeField::Timestamp,
        };
        plan.narrow(clock, selection.from, selection.to);
        let parts = match selection.query.expr().clone() {
            Expr::And(parts) => parts,
            one => vec![one],
        };
        let mut rest = Vec::new();
        for part in parts {
            match &part {
                Expr::Term(Term::Time(clock, range)) => {
                    let (from, to) = range.resolve(selection.now);
                    plan.narrow(*clock, from, to);
                    continue;
                }
                Expr::Term(Term::Word(WordField::Id, any)) => plan.narrow_to_id(any),
                Expr::Every | Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Term(_) => {}
            }
            rest.push(part);
        }
        plan.rest = Expr::and(rest);
        plan
    }

    fn narrow(&mut self, clock: TimeField, from: Option<Timestamp>, to: Option<Timestamp>) {
        let range = match clock {
            TimeField::ReceivedAt => &mut self.arrival,
            TimeField::Timestamp => &mut self.sender,
        };
        range.0 = range.0.max(from.map_or(i64::MIN, Timestamp::as_micros));
        range.1 = range.1.min(to.map_or(i64::MAX, Timestamp::as_micros));
    }

    /// An event's id names the millisecond of its arrival, which spares the search for it.
    fn narrow_to_id(&mut self, any: &[ValueMatch]) {
        let [ValueMatch::Equals(pattern)] = any else {
            return;
        };
        let id = pattern.as_literal().and_then(|text| text.parse::<EventId>().ok());
        if let Some((from, to)) = id.and_then(arrival_of) {
            self.narrow(TimeField::ReceivedAt, Some(from), Some(to));
        }
    }

    /// What comes behind the cursor, or at its instant.
    pub(crate) fn behind(mut self, clock: Clock, order: Order, after: Option<Cursor>) -> Self {
        let clock = match clock {
            Clock::Arrival => TimeField::ReceivedAt,
            Clock::Sender => TimeField::Timestamp,
        };
        if let Some(after) = after {
            let next = Timestamp::from_micros(after.time.as_micros().saturating_add(1));
            match order {
                Order::NewestFirst => self.narrow(clock, None, Some(next)),
                Order::OldestFirst => self.narrow(clock, Some(after.time), None),
            }
        }
        self
    }

    /// Whether any instant is in the ranges.
    pub(crate) const fn is_empty(&self) -> bool {
        self.arrival.0 >= self.arrival.1 || self.sender.0 >= self.sender.1
    }

    /// From how many hosts all that fits comes, where they are few: by their names a sealed partition has an index.
    pub(crate) fn hosts(&self, names: &Names) -> Option<usize> {
        let hosts = |part: &Expr| match part {
            Expr::Term(term @ Term::Word(WordField::Hostname, _)) => {
                let hosts = names.of(WordField::Hostname, term)?.len();
                (hosts <= FEW_HOSTS).then_some(hosts)
            }
            Expr::Every | Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Term(_) => None,
        };
        match &self.rest {
            Expr::And(parts) => parts.iter().filter_map(hosts).min(),
            one => hosts(one),
        }
    }

    /// Whether all that fits has a certain tag or value of a field, of which a sealed partition has an index.
    pub(crate) fn has_value(&self) -> bool {
        let is_value = |part: &Expr| match part {
            Expr::Term(Term::Tag(any) | Term::Custom(_, any)) => plain_values(any).is_some(),
            Expr::Every | Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Term(_) => false,
        };
        match &self.rest {
            Expr::And(parts) => parts.iter().any(is_value),
            one => is_value(one),
        }
    }

    /// The columns of the minute rollup that count exactly what is asked for; `None` where it does not say.
    pub(crate) fn severities(&self) -> Option<[bool; 9]> {
        let is_by_arrival = self.sender == (i64::MIN, i64::MAX);
        severities(&self.rest).filter(|_| is_by_arrival)
    }
}

/// The texts in lower case of which a value must be one; `None` where an index that folds ASCII's letters cannot tell.
pub(crate) fn plain_values(any: &[ValueMatch]) -> Option<Vec<String>> {
    let text = |value: &ValueMatch| match value {
        ValueMatch::Equals(pattern) if !pattern.is_cased_beyond_ascii() => {
            pattern.as_literal().map(str::to_ascii_lowercase)
        }
        ValueMatch::Equals(_) | ValueMatch::Regex(_) => None,
    };
    any.iter().map(text).collect()
}

/// The severities that the expression asks for, if it asks for nothing else; the last place is for events without.
fn severities(expr: &Expr) -> Option<[bool; 9]> {
    let zip = |left: [bool; 9], right: [bool; 9], both: fn(bool, bool) -> bool| {
        let mut joined = left;
        for (left, right) in joined.iter_mut().zip(right) {
            *left = both(*left, right);
        }
        joined
    };
    match expr {
        Expr::Every => Some([true; 9]),
        Expr::And(parts) => parts.iter().try_fold([true; 9], |all, part| {
            severities(part).map(|part| zip(all, part, |left, right| left && right))
        }),
        Expr::Or(parts) => parts.iter().try_fold([false; 9], |any, part| {
            severities(part).map(|part| zip(any, part, |left, right| left || right))
        }),
        Expr::Not(inner) => severities(inner).map(|inner| inner.map(|is_in| !is_in)),
        Expr::Term(Term::Severity(set)) => {
            let mut wanted = [false; 9];
            for code in set.codes() {
                if let Some(wanted) = wanted.get_mut(usize::from(code)) {
                    *wanted = true;
                }
            }
            Some(wanted)
        }
        Expr::Term(_) => None,
    }
}

/// Patterns that the message of every event must hold one of each of: what an index of trigrams can look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Texts<'q> {
    All(Vec<Self>),
    Any(Vec<Self>),
    One(&'q Pattern),
}

impl<'q> Texts<'q> {
    /// `None` where rows may fit whose message holds none of the patterns, or the patterns are too short.
    pub(crate) fn of(expr: &'q Expr, names: &Names) -> Option<Self> {
        match expr {
            Expr::And(parts) => {
                let parts: Vec<_> = parts.iter().filter_map(|part| Self::of(part, names)).collect();
                (!parts.is_empty()).then_some(Self::All(parts))
            }
            Expr::Or(parts) => {
                let parts: Option<Vec<_>> = parts.iter().map(|part| Self::of(part, names)).collect();
                parts.map(Self::Any)
            }
            Expr::Term(term @ Term::Text(text)) => {
                let is_no_name = |column| names.of(column, term).is_some_and(|names| names.is_empty());
                let in_message = is_no_name(WordField::Hostname) && is_no_name(WordField::AppName);
                Self::of_text(text).filter(|_| in_message)
            }
            Expr::Term(Term::Message(any)) => {
                let any: Option<Vec<_>> = any.iter().map(Self::of_text).collect();
                any.map(Self::Any)
            }
            Expr::Every | Expr::Not(_) | Expr::Term(_) => None,
        }
    }

    fn of_text(text: &'q TextMatch) -> Option<Self> {
        match text {
            TextMatch::Contains(pattern) if longest_ascii_word(pattern) >= 3 => Some(Self::One(pattern)),
            TextMatch::Contains(_) | TextMatch::Regex(_) => None,
        }
    }
}

/// Letters beyond ASCII are letters for PostgreSQL in some locales only.
fn longest_ascii_word(pattern: &Pattern) -> usize {
    let literals = pattern.pieces().iter().filter_map(|piece| match piece {
        Piece::Literal(text) => Some(text),
        Piece::AnyRun | Piece::AnyOne => None,
    });
    literals
        .flat_map(|text| text.split(|char: char| !char.is_ascii_alphanumeric()))
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use query::{Options, parse};

    use super::*;

    fn plan(text: &str) -> Plan {
        Plan::of(&Selection {
            query: parse(text, &Options::default()).unwrap().query,
            now: Timestamp::from_micros(1_000_000_000),
            ..Selection::default()
        })
    }

    #[test]
    fn times_are_taken_out() {
        let plan = plan("received>=-100s time<now error");
        assert_eq!(plan.arrival, (900_000_000, i64::MAX));
        assert_eq!(plan.sender, (i64::MIN, 1_000_000_000));
        assert_eq!(plan.rest, super::tests::plan("error").rest);
        // Only where all must hold.
        assert_eq!(
            super::tests::plan("received>=-100s OR x").arrival,
            (i64::MIN, i64::MAX)
        );
    }

    #[test]
    fn an_id_names_its_millisecond() {
        let plan = plan("id:019330e4-9c00-7000-8000-000000000000");
        assert_eq!(plan.arrival.1 - plan.arrival.0, 1000);
    }

    #[test]
    fn the_rollup_answers_for_severities() {
        let counted = |text| plan(text).severities().map(|wanted| wanted.map(u8::from));
        assert_eq!(counted(""), Some([1; 9]));
        assert_eq!(
            counted("severity>=err -severity:crit"),
            Some([1, 1, 0, 1, 0, 0, 0, 0, 0])
        );
        assert_eq!(
            counted("-severity>=err received>-1h"),
            Some([0, 0, 0, 0, 1, 1, 1, 1, 1])
        );
        assert_eq!(counted("severity:err x"), None);
        assert_eq!(counted("time>-1h"), None);
    }

    #[test]
    fn an_index_of_hosts_serves_few_of_them() {
        let hosts = (0..9).map(|number| format!("web{number}")).collect();
        let names = Names::new(hosts, Vec::new(), Vec::new());
        for (text, few) in [
            ("host:web1 severity>=err", Some(1)),
            ("host:(web1, WEB2)", Some(2)),
            ("host:(web1, web2) host:web1", Some(1)),
            ("host:web*", None),
            ("host:web1 OR app:x", None),
            ("-host:web1", None),
        ] {
            assert_eq!(plan(text).hosts(&names), few, "{text}");
        }
    }

    #[test]
    fn an_index_of_values_serves_whole_ones() {
        for (text, serves) in [
            ("fields.user:Alice severity>=err", true),
            ("tag:(auth, mail)", true),
            ("tag:auth OR fields.user:bob", false),
            ("tag:au*", false),
            ("fields.user:/b/", false),
            ("fields.user:café", false),
            ("fields.status>400", false),
            ("-tag:auth", false),
        ] {
            assert_eq!(plan(text).has_value(), serves, "{text}");
        }
        let any = [ValueMatch::Equals(Pattern::literal("A b"))];
        assert_eq!(plain_values(&any), Some(vec!["a b".to_owned()]));
    }

    #[test]
    fn an_index_of_trigrams_serves_long_texts_that_are_no_names() {
        let names = Names::new(vec!["web01".to_owned()], Vec::new(), Vec::new());
        let serves = |text: &str| Texts::of(&plan(text).rest, &names).is_some();
        for text in [
            "refused",
            "-x refused",
            "message:(abc, def)",
            "abc OR message:def",
            "web02",
        ] {
            assert!(serves(text), "{text}");
        }
        for text in [
            "",
            "-refused",
            "a.b",
            "web",
            "abc OR host:x",
            "/refused/",
            "message:(abc, de)",
            "ééé",
        ] {
            assert!(!serves(text), "{text}");
        }
        let incomplete = Names::new(Vec::new(), Vec::new(), vec!["*".to_owned()]);
        assert!(Texts::of(&plan("refused").rest, &incomplete).is_none());
        assert!(Texts::of(&plan("message:refused").rest, &incomplete).is_some());
    }
}
