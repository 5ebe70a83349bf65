//! Tests of both batches: what is written reads back, and damaged payloads are refused.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    arbitrary::{self, Received},
    *,
};

const MAX: usize = 1 << 20;

fn source() -> BatchId {
    BatchId::from_uuid(uuid::Uuid::from_u128(0x0191_0000_0000_7000_8000_0000_0000_0001))
}

fn raw_payload(frames: &[Received], compression: Compression) -> Vec<u8> {
    let mut builder = RawBatchBuilder::new(source(), "tcp");
    for (position, frame) in (0..).zip(frames) {
        let tls_peer = frame.tls_peer.as_deref();
        let given = builder.push(
            frame.received_at,
            &frame.peer_addr,
            tls_peer,
            frame.defects,
            &frame.bytes,
        );
        assert_eq!(given, position);
    }
    builder.finish(compression)
}

fn event_payload(events: &[Event<'_>], compression: Compression) -> Vec<u8> {
    let mut builder = EventBatchBuilder::new(source().derive("default"), source(), "tcp", "default");
    for event in events {
        builder.push(event);
    }
    builder.finish(compression)
}

/// Reads all frames or events of `payload`; how many there were.
fn read_raw(payload: &[u8], size_max: usize) -> Result<usize, DecodeError> {
    let mut scratch = Vec::new();
    let mut batch = RawBatch::decode(payload, &mut scratch, size_max)?;
    let mut count = 0;
    while batch.next_frame()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn read_events(payload: &[u8], size_max: usize) -> Result<usize, DecodeError> {
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(payload, &mut scratch, size_max)?;
    let mut count = 0;
    while batch.next_event()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn some_frames() -> Vec<Received> {
    let frame = |micros, peer_addr: &str, bytes: &[u8]| Received {
        received_at: Timestamp::from_micros(micros),
        peer_addr: peer_addr.to_owned(),
        tls_peer: None,
        defects: FrameDefects::empty(),
        bytes: bytes.to_vec(),
    };
    vec![
        frame(1_795_262_400_000_000, "192.0.2.1:1", b"<13>one"),
        frame(1_795_262_400_000_500, "192.0.2.1:1", b"<13>two"),
    ]
}

fn some_events() -> Vec<Event<'static>> {
    let grammar = Grammar::new(GrammarOptions::default());
    let lines: [&[u8]; 3] = [
        b"<34>1 2003-10-11T22:14:15.003Z h su - ID47 [a b=\"c\"] text",
        b"{\"message\":\"text\",\"tags\":[\"t\"],\"n\":[1,-1,1.5,null,true,{\"x\":\"y\"}]}",
        b"nothing",
    ];
    let event = |(position, bytes)| {
        let frame = Frame {
            position,
            received_at: Timestamp::from_micros(1_795_262_400_000_000),
            peer_addr: "192.0.2.1:1",
            tls_peer: Some("client"),
            defects: FrameDefects::empty(),
            bytes,
        };
        grammar.parse(&frame, source(), "tcp")
    };
    (0..).zip(lines).map(event).collect()
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Lz4)]
}

proptest! {
    #[test]
    fn frames_read_back(frames in vec(arbitrary::received(), 0..40), compression in compression()) {
        let payload = raw_payload(&frames, compression);
        let mut scratch = Vec::new();
        let mut batch = RawBatch::decode(&payload, &mut scratch, MAX)?;
        prop_assert_eq!((batch.id(), batch.listener(), batch.len()), (source(), "tcp", frames.len()));
        for (position, frame) in (0..).zip(&frames) {
            let expected = Frame {
                position,
                received_at: frame.received_at,
                peer_addr: &frame.peer_addr,
                tls_peer: frame.tls_peer.as_deref(),
                defects: frame.defects,
                bytes: &frame.bytes,
            };
            prop_assert_eq!(batch.next_frame()?, Some(expected));
        }
        prop_assert_eq!(batch.next_frame()?, None);
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in vec(any::<u8>(), 0..200), events in any::<bool>()) {
        let kind = if events { b'E' } else { b'R' };
        bytes.splice(0..0, [b'L', b'F', kind, 0]);
        prop_assert!(read_raw(&bytes, MAX).is_err());
        prop_assert!(read_events(&bytes, MAX).is_err());
    }

    /// A changed byte may still make a batch, but never a panic, and never one that is larger than its bytes.
    #[test]
    fn changed_bytes_are_read_or_refused(at in any::<prop::sample::Index>(), byte: u8, compression in compression()) {
        let (mut raw, mut events) = (raw_payload(&some_frames(), compression), event_payload(&some_events(), compression));
        let (in_raw, in_events) = (at.index(raw.len()), at.index(events.len()));
        raw[in_raw] = byte;
        events[in_events] = byte;
        prop_assert!(read_raw(&raw, MAX).is_ok_and(|count| count <= 2) || read_raw(&raw, MAX).is_err());
        prop_assert!(read_events(&events, MAX).is_ok_and(|count| count <= 3) || read_events(&events, MAX).is_err());
    }
}

proptest! {
    // Each case is up to eight events with all that events can hold.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn events_read_back(events in vec(arbitrary::event(source(), "tcp"), 0..8), compression in compression()) {
        let payload = event_payload(&events, compression);
        let mut scratch = Vec::new();
        let mut batch = EventBatch::decode(&payload, &mut scratch, MAX)?;
        prop_assert_eq!((batch.id(), batch.source()), (source().derive("default"), source()));
        prop_assert_eq!((batch.listener(), batch.route(), batch.len()), ("tcp", "default", events.len()));
        for event in &events {
            let read = batch.next_event()?;
            prop_assert_eq!(read.as_ref(), Some(event));
        }
        prop_assert_eq!(batch.next_event()?, None);
    }
}

#[test]
fn truncated_at_any_byte_is_refused() {
    for compression in [Compression::None, Compression::Lz4] {
        let (raw, events) = (
            raw_payload(&some_frames(), compression),
            event_payload(&some_events(), compression),
        );
        assert_eq!((read_raw(&raw, MAX), read_events(&events, MAX)), (Ok(2), Ok(3)));
        for len in 0..raw.len() {
            assert!(read_raw(&raw[..len], MAX).is_err(), "{len} bytes");
        }
        for len in 0..events.len() {
            assert!(read_events(&events[..len], MAX).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn the_first_bytes_decide() {
    let raw = raw_payload(&some_frames(), Compression::None);
    let events = event_payload(&some_events(), Compression::None);
    let (expected, found) = (PayloadKind::Raw, PayloadKind::Events);
    assert_eq!(
        read_raw(&events, MAX),
        Err(DecodeError::WrongKind { expected, found })
    );
    assert_eq!(
        read_events(&raw, MAX),
        Err(DecodeError::WrongKind {
            expected: found,
            found: expected
        })
    );
    assert_eq!(
        (PayloadKind::of(&raw), PayloadKind::of(&events)),
        (Ok(expected), Ok(found))
    );
    for first in [&b""[..], b"LF", b"LFR", b"LFX\0", b"<13>hello", b"LFR\x02\x95"] {
        assert_eq!(read_raw(first, MAX), Err(DecodeError::NotABatch));
    }
}

#[test]
fn other_versions_are_refused_by_number() {
    let mut raw = raw_payload(&some_frames(), Compression::None);
    let mut events = event_payload(&some_events(), Compression::None);
    // Envelope, array of five or six, version.
    (raw[5], events[5]) = (2, 9);
    assert_eq!(read_raw(&raw, MAX), Err(DecodeError::UnknownVersion(2)));
    assert_eq!(read_events(&events, MAX), Err(DecodeError::UnknownVersion(9)));
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut payload = raw_payload(&some_frames(), Compression::None);
    payload.extend_from_slice(b"xyz");
    assert_eq!(read_raw(&payload, MAX), Err(DecodeError::TrailingBytes(3)));
    let mut payload = event_payload(&some_events(), Compression::None);
    payload.push(0);
    assert_eq!(read_events(&payload, MAX), Err(DecodeError::TrailingBytes(1)));
}

/// Counts and lengths that promise more than there is must not take memory for it.
#[test]
fn lying_lengths_are_refused() {
    // version 1, id, listener "t", base 0, and then frames.
    let head = |frames: &[u8]| [b"LFR\0\x95\x01\xc4\x10", &[0; 16][..], b"\xa1t\x00", frames].concat();
    assert_eq!(read_raw(&head(b"\x90"), MAX), Ok(0));
    // More frames than fit a batch, as many as fit, one of four billion bytes, a peer that was never named.
    assert_eq!(
        read_raw(&head(b"\xdd\xff\xff\xff\xff"), MAX),
        Err(DecodeError::InvalidValue("frames"))
    );
    assert_eq!(
        read_raw(&head(b"\xdd\x00\x10\x00\x00"), MAX),
        Err(DecodeError::Truncated)
    );
    assert_eq!(
        read_raw(&head(b"\x91\x94\x00\x92\xa0\xc0\x00\xc6\xff\xff\xff\xff"), MAX),
        Err(DecodeError::Truncated)
    );
    assert_eq!(
        read_raw(&head(b"\x91\x94\x00\x07\x00\xc4\x00"), MAX),
        Err(DecodeError::InvalidValue("peer"))
    );
    assert!(matches!(
        read_raw(&head(b"\x91\x94\xc0"), MAX),
        Err(DecodeError::UnexpectedType { marker: 0xc0, .. })
    ));
    assert_eq!(
        read_raw(&head(b"\x91\x93"), MAX),
        Err(DecodeError::InvalidValue("frame"))
    );
}

#[test]
fn decompression_is_bounded() {
    let zeros = Received {
        bytes: vec![0; 200_000],
        ..some_frames().remove(0)
    };
    let payload = raw_payload(&[zeros], Compression::Lz4);
    assert!(payload.len() < 2000, "zeros compress well");
    assert_eq!(read_raw(&payload, MAX), Ok(1));
    let too_large = read_raw(&payload, 100_000);
    assert!(
        matches!(
            too_large,
            Err(DecodeError::TooLarge {
                size: 200_000..,
                max: 100_000
            })
        ),
        "{too_large:?}"
    );
    let plain = raw_payload(&some_frames(), Compression::None);
    assert_eq!(
        read_raw(&plain, 10),
        Err(DecodeError::TooLarge {
            size: plain.len() - 4,
            max: 10
        })
    );

    // A size that the block does not have: more, less, and all there is.
    let lying = |size: u32| {
        let mut payload = payload.clone();
        payload[4..8].copy_from_slice(&size.to_le_bytes());
        read_raw(&payload, MAX)
    };
    assert_eq!(lying(200_100), Err(DecodeError::BadCompression));
    assert_eq!(lying(100), Err(DecodeError::BadCompression));
    assert!(matches!(
        lying(u32::MAX),
        Err(DecodeError::TooLarge { max: MAX, .. })
    ));
}

#[test]
fn what_does_not_shrink_stays_uncompressed() {
    let payload = raw_payload(&[], Compression::Lz4);
    assert_eq!(payload[..4], *b"LFR\0");
    assert_eq!(read_raw(&payload, MAX), Ok(0));
}

#[test]
fn nesting_has_a_bound() {
    let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let event = |depth| Event {
        fields: vec![("deep".into(), nested(depth))],
        ..some_events().remove(2)
    };
    let payload = event_payload(
        &[event(Value::DEPTH_MAX), event(Value::DEPTH_MAX + 1)],
        Compression::None,
    );
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, MAX).unwrap();
    assert_eq!(batch.next_event().unwrap(), Some(event(Value::DEPTH_MAX)));
    // The innermost array has become null, and the event says so.
    let expected = event(Value::DEPTH_MAX);
    let defects = expected.defects | Defects::TOO_COMPLEX;
    assert_eq!(batch.next_event().unwrap(), Some(Event { defects, ..expected }));

    // The same from a writer who does not care: the field's value is the last `0x91 0xc0` of the payload.
    let mut deep = event_payload(&[event(Value::DEPTH_MAX)], Compression::None);
    let innermost = deep
        .windows(2)
        .rposition(|window| window == [0x91, 0xc0])
        .unwrap();
    deep.insert(innermost, 0x91);
    assert_eq!(
        read_events(&deep, MAX),
        Err(DecodeError::InvalidValue("field value"))
    );
}

#[test]
fn numbers_that_are_none_become_null() {
    let event = |value| Event {
        fields: vec![("n".into(), value)],
        ..some_events().remove(2)
    };
    let payload = event_payload(
        &[event(Value::Float(f64::NAN)), event(Value::Float(f64::INFINITY))],
        Compression::Lz4,
    );
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, MAX).unwrap();
    for _ in 0..2 {
        let read = batch.next_event().unwrap().unwrap();
        assert_eq!(read.fields, [("n".into(), Value::Null)]);
        assert!(read.defects.contains(Defects::TOO_COMPLEX));
    }
}

#[test]
fn a_peer_is_written_once() {
    let one = |peer_addr: &str, tls_peer: Option<&str>| Received {
        peer_addr: peer_addr.to_owned(),
        tls_peer: tls_peer.map(str::to_owned),
        bytes: Vec::new(),
        ..some_frames().remove(0)
    };
    let peers = [
        one("192.0.2.111:1", None),
        one("192.0.2.222:1", None),
        one("192.0.2.111:1", Some("client")),
        one("192.0.2.111:17", None),
        one("192.0.2.111:1", Some("client-2")),
    ];
    let few = raw_payload(&peers, Compression::None).len();
    let frames: Vec<_> = peers.iter().cycle().take(50).cloned().collect();
    let payload = raw_payload(&frames, Compression::None);
    // Array, time, peer, defects, bytes: six bytes for a frame of a known peer.
    assert_eq!(payload.len(), few + 45 * 6);
    let mut scratch = Vec::new();
    let mut batch = RawBatch::decode(&payload, &mut scratch, MAX).unwrap();
    for frame in &frames {
        let read = batch.next_frame().unwrap().unwrap();
        assert_eq!(
            (read.peer_addr, read.tls_peer),
            (&*frame.peer_addr, frame.tls_peer.as_deref())
        );
    }
}

#[test]
fn a_builder_begins_anew_in_used_memory() {
    let event = &some_events()[0];
    let used = vec![0xff; 4096];
    let mut builder =
        EventBatchBuilder::with_buffer(source().derive("default"), source(), "tcp", "default", used);
    builder.push(event);
    assert_eq!((builder.events(), builder.id()), (1, source().derive("default")));
    let size = builder.size();
    let payload = builder.finish(Compression::None);
    assert_eq!(payload.len(), size);
    assert_eq!(
        payload,
        event_payload(std::slice::from_ref(event), Compression::None)
    );
}

#[test]
fn memory_of_a_packed_batch_is_given_back() {
    let builder = || {
        let mut builder = RawBatchBuilder::with_buffer(source(), "tcp", Vec::with_capacity(4096));
        let frame = some_frames().remove(0);
        for _ in 0..10 {
            builder.push(
                frame.received_at,
                "192.0.2.1:1",
                None,
                frame.defects,
                &[b'x'; 100],
            );
        }
        builder
    };
    let (payload, spare) = builder().finish_and_spare(Compression::Lz4);
    assert_eq!(read_raw(&payload, MAX), Ok(10));
    assert!(spare.is_some_and(|spare| spare.capacity() >= 4096));
    // What is not packed is the payload itself.
    let (payload, spare) = builder().finish_and_spare(Compression::None);
    assert_eq!((read_raw(&payload, MAX), spare), (Ok(10), None));
    // A batch of events is no different.
    let memory = || Vec::with_capacity(4096);
    let builder = || EventBatchBuilder::with_buffer(source(), source(), &"x".repeat(200), "r", memory());
    let (_, spare) = builder().finish_and_spare(Compression::Lz4);
    assert!(spare.is_some_and(|spare| spare.capacity() >= 4096));
    let (_, spare) = builder().finish_and_spare(Compression::None);
    assert_eq!(spare, None);
}

/// The bytes of the document's example that is marked `kind`.
fn example(document: &str, kind: &str) -> Vec<u8> {
    let (_, behind) = document
        .split_once(&format!("```hex {kind}\n"))
        .expect("the example is there");
    let (text, _) = behind.split_once("```").expect("the example ends");
    let digits: String = text.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2).expect("an even number of digits"), 16);
    (0..digits.len())
        .step_by(2)
        .map(|at| byte(at).expect("digits"))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| {
        line.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    bytes.chunks(24).map(line).collect::<Vec<_>>().join("\n")
}

/// `proto/batch.md` shows what is written and read.
#[test]
fn the_document_s_examples_are_what_is_written() {
    let document = include_str!("../../../../proto/batch.md");
    let lines: [&[u8]; 2] = [b"<13>one", b"<13>1 - h a - - [x k=\"v\"] two"];
    let frame = |bytes: &[u8]| Received {
        bytes: bytes.to_vec(),
        peer_addr: "192.0.2.1:40000".to_owned(),
        ..some_frames().remove(0)
    };
    let mut frames = lines.map(frame);
    frames[1].received_at = Timestamp::from_micros(frames[0].received_at.as_micros() + 500);
    let raw = raw_payload(&frames, Compression::None);
    assert_eq!(hex(&example(document, "raw")), hex(&raw));

    let mut scratch = Vec::new();
    let mut batch = RawBatch::decode(&raw, &mut scratch, MAX).unwrap();
    let grammar = Grammar::new(GrammarOptions::default());
    let mut events = Vec::new();
    while let Some(frame) = batch.next_frame().unwrap() {
        events.push(Event {
            raw: None,
            ..grammar.parse(&frame, batch.id(), batch.listener())
        });
    }
    assert_eq!(
        hex(&example(document, "events")),
        hex(&event_payload(&events, Compression::None))
    );
    for event in &events {
        assert!(document.contains(&format!("`{}`", event.id)), "{}", event.id);
    }

    let payload = example(document, "events");
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, MAX).unwrap();
    assert_eq!(
        (batch.listener(), batch.route(), batch.len()),
        ("tcp", "default", 2)
    );
    for event in &events {
        assert_eq!(batch.next_event().unwrap().as_ref(), Some(event));
    }
}

#[test]
fn the_document_lists_all_defects() {
    let document = include_str!("../../../../proto/batch.md");
    for defect in Defects::all().iter() {
        let row = format!(
            "| {} | `{}` |",
            defect.bits().trailing_zeros(),
            defect.words().collect::<String>()
        );
        assert!(document.contains(&row), "{row}");
    }
}
