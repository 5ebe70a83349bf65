//! Which dead letters are meant, as people say it.

use clap::Args;
use dead::Selection;
use event::Timestamp;

use crate::search::time;

/// Filters; a letter must pass all of those that are given.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectionArgs {
    /// Ids, or how they begin
    #[arg(value_name = "ID", value_parser = id_prefix)]
    ids: Vec<String>,
    /// With this reason, such as undecodable, refused, unroutable, `delivery_limit`. May be repeated
    #[arg(short, long)]
    reason: Vec<String>,
    /// From this stage, such as parser, shipper-pgsql, or broker for poison. May be repeated
    #[arg(short, long)]
    stage: Vec<String>,
    /// From this queue. May be repeated
    #[arg(short, long)]
    queue: Vec<String>,
    /// Dead since: 15m ago, a day, a local time, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Dead before
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// With this text in what went wrong, or in a line or event, in any case. May be repeated
    #[arg(short, long)]
    text: Vec<String>,
}

impl SelectionArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
            && self.reason.is_empty()
            && self.stage.is_empty()
            && self.queue.is_empty()
            && self.since.is_none()
            && self.until.is_none()
            && self.text.is_empty()
    }

    pub(crate) fn selection(&self) -> Selection {
        Selection {
            ids: self.ids.clone(),
            reasons: self.reason.clone(),
            stages: self.stage.clone(),
            queues: self.queue.clone(),
            since_micros: self.since.map(Timestamp::as_micros),
            until_micros: self.until.map(Timestamp::as_micros),
            texts: self.text.iter().map(|text| text.to_lowercase()).collect(),
        }
    }
}

/// A few hexadecimal digits are enough; fewer would take what nobody meant.
fn id_prefix(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    if text.len() < 4 || !text.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err("an id, or its first 4 or more characters, is wanted".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use broker::{Death, Exchange, Letter};
    use clap::Parser;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        selection: SelectionArgs,
    }

    fn letter() -> Letter {
        Letter {
            id: Some(Uuid::from_u128(0xabcd_ef00 << 96)),
            content_type: None,
            routing_key: "parser.undecodable".to_owned(),
            body: (&b"disk FULL on web01"[..]).into(),
            death: Some(Death {
                stage: "parser".to_owned(),
                queue: "parser".to_owned(),
                batch: None,
                position: None,
                reason: "undecodable".to_owned(),
                text: "Not a batch".to_owned(),
                at_micros: 1_795_255_200_000_000,
                attempts: 1,
                exchange: Exchange::Received,
                routing_key: "syslog.tcp".to_owned(),
            }),
            headers: serde_json::Map::new(),
        }
    }

    fn takes(words: &[&str], letter: &Letter) -> bool {
        let line = Line::try_parse_from([&["x"], words].concat()).expect("are good");
        line.selection.selection().takes(letter)
    }

    #[test]
    fn every_filter_counts() {
        for words in [
            &[][..],
            &["abcd"],
            &["ABCDEF00-0000"],
            &["ffff", "abcdef"],
            &["--reason", "refused", "--reason", "undecodable"],
            &["--stage", "parser", "--queue", "parser"],
            &[
                "--since",
                "2026-11-21T10:00:00Z",
                "--until",
                "2026-11-21T10:00:01Z",
            ],
            &["--text", "disk full", "--text", "not a"],
        ] {
            assert!(takes(words, &letter()), "{words:?}");
        }
        let strange = Letter {
            id: None,
            death: None,
            ..letter()
        };
        assert!(takes(&[], &strange) && takes(&["--text", "web01"], &strange));
        for words in [
            &["ffff"][..],
            &["--reason", "refused"],
            &["--stage", "broker"],
            &["--queue", "shipper-fs"],
            &["--since", "2026-11-21T10:00:01Z"],
            &["--until", "2026-11-21T10:00:00Z"],
            &["--text", "disk full", "--text", "nowhere"],
        ] {
            assert!(!takes(words, &letter()), "{words:?}");
            assert!(!takes(words, &strange), "{words:?}");
        }
        assert!(Line::try_parse_from(["x", "abc"]).is_err(), "too short");
        assert!(Line::try_parse_from(["x", "disk"]).is_err(), "no id");
    }
}
