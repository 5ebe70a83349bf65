//! Property tests of the grammar: what is written reads back, and any bytes give an event.

use proptest::prelude::*;

use super::*;
use crate::{FrameDefects, Timestamp, arbitrary, format::rfc5424};

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        position: 0,
        received_at: Timestamp::from_micros(0),
        peer_addr: "",
        tls_peer: None,
        defects: FrameDefects::empty(),
        bytes,
    }
}

fn parse(bytes: &[u8]) -> Event<'_> {
    let grammar = Grammar::new(GrammarOptions::default());
    grammar.parse(&frame(bytes), BatchId::from_uuid(uuid::Uuid::nil()), "")
}

fn write(event: &Event<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    rfc5424::write_frame(event, &mut bytes);
    bytes
}

/// Bytes that look like log lines as often as not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("<13>"),
        Just("<189>123: "),
        Just("1 "),
        Just("2026-11-21T10:00:00.5Z "),
        Just("Nov 21 10:00:00 "),
        Just("*"),
        Just("2026 "),
        Just("host "),
        Just("tag[1]: "),
        Just("kernel: "),
        Just("[1.5] "),
        Just("- "),
        Just("[a b=\"c\\\"\"]"),
        Just("%SYS-5-CONFIG_I: "),
        Just("UTC "),
        Just("@cee:"),
        Just("{\"a\":"),
        Just("[1,"),
        Just("\"x\""),
        Just("}"),
        Just("\u{feff}"),
        Just("\u{e9}"),
        Just(" "),
        Just(":"),
        Just("\\u00"),
        Just("last message repeated 2 times"),
    ]
    .prop_map(|text| text.as_bytes().to_vec());
    let noise = proptest::collection::vec(any::<u8>(), 0..4);
    proptest::collection::vec(prop_oneof![4 => part, 1 => noise], 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn rfc_5424_events_read_back(event in arbitrary::rfc_5424_event()) {
        let bytes = write(&event);
        let read = parse(&bytes);
        prop_assert_eq!(read.raw.as_deref(), Some(&*bytes));
        prop_assert_eq!(Event { raw: None, ..read }, event);
    }

    #[test]
    fn valid_rfc_5424_lines_are_written_as_they_came(event in arbitrary::rfc_5424_event()) {
        let bytes = write(&event);
        prop_assert_eq!(write(&parse(&bytes)), bytes);
    }

    #[test]
    fn any_bytes_give_an_event(bytes in line()) {
        let event = parse(&bytes);
        prop_assert_eq!(event.raw.as_deref(), Some(&*bytes));
        for text in [&event.hostname, &event.app_name, &event.procid, &event.msgid, &event.message].into_iter().flatten() {
            prop_assert!(!text.is_empty() && !text.contains('\0'));
        }
        prop_assert_eq!(event.defects.contains(Defects::INVALID_UTF8), std::str::from_utf8(&bytes).is_err());
    }

    /// Events of lines that are text borrow everything but what was escaped.
    #[test]
    fn owned_events_are_equal(bytes in line()) {
        let event = parse(&bytes);
        prop_assert_eq!(&event.clone().into_owned(), &event);
    }
}
