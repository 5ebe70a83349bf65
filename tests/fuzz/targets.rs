//! What fuzzing checks: a function for each target takes any bytes and panics where something does not hold.
//!
//! Plain Rust, so that libFuzzer (`fuzz_targets/`) and `make test` (`tests/tests/fuzz_corpus.rs`) run the same. A new
//! target is a function here, a line in [`ALL`], a folder `corpus/<name>` with a few inputs, and for libFuzzer a file
//! in `fuzz_targets/` and its `[[bin]]` in `Cargo.toml`.

use std::sync::LazyLock;

use event::{
    BatchId, Compression, Defects, Event, EventBatch, EventBatchBuilder, Frame, FrameDefects, Grammar,
    GrammarOptions, RawBatch, RawBatchBuilder, Timestamp, format::rfc5424,
};
use framing::{RelpDecoder, StreamDecoder, relp::Violation};
use jiff::tz::TimeZone;

/// The name of its corpus folder, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const ALL: [Target; 5] = [
    ("grammar", grammar),
    ("batch", batch),
    ("frames", frames),
    ("relp", relp),
    ("query", query),
];

/// Larger bodies are refused unread.
const SIZE_MAX: usize = 1 << 20;

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        position: 0,
        // 2026-11-21T12:00:00Z
        received_at: Timestamp::from_micros(1_795_262_400_000_000),
        peer_addr: "192.0.2.1:40000",
        tls_peer: None,
        defects: FrameDefects::empty(),
        bytes,
    }
}

static GRAMMARS: LazyLock<[Grammar; 2]> = LazyLock::new(|| {
    let zone = TimeZone::get("America/St_Johns").expect("a zone of the bundled database");
    [TimeZone::UTC, zone].map(|time_zone| Grammar::new(GrammarOptions { time_zone }))
});

/// Any bytes are an event that holds text, is encoded and read back as it is, and is written as valid RFC 5424.
pub fn grammar(data: &[u8]) {
    for grammar in &*GRAMMARS {
        let event = grammar.parse(&frame(data), BatchId::from_uuid(Default::default()), "fuzz");
        assert_eq!(event.raw.as_deref(), Some(data));
        let texts = [
            &event.hostname,
            &event.app_name,
            &event.procid,
            &event.msgid,
            &event.message,
        ];
        for text in texts.into_iter().flatten() {
            assert!(!text.is_empty() && !text.contains('\0'), "{event:?}");
        }
        encodes(&event);
        is_written_as_rfc_5424(grammar, &event);
    }
}

fn encodes(event: &Event<'_>) {
    let source = BatchId::from_uuid(Default::default());
    let mut builder = EventBatchBuilder::new(source, source, "fuzz", "default");
    builder.push(event);
    let payload = builder.finish(Compression::Lz4);
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, usize::MAX).expect("our own payload");
    assert_eq!(batch.next_event().expect("our own payload").as_ref(), Some(event));
}

fn is_written_as_rfc_5424(grammar: &Grammar, event: &Event<'_>) {
    // A message that says that it is an object is read as one.
    if event
        .message
        .as_ref()
        .is_some_and(|message| message.trim_start().starts_with("@cee:"))
    {
        return;
    }
    let mut written = Vec::new();
    rfc5424::write_frame(event, &mut written);
    let read = grammar.parse(&frame(&written), BatchId::from_uuid(Default::default()), "fuzz");
    let broken =
        Defects::NO_PRIORITY | Defects::BAD_HEADER | Defects::BAD_TIMESTAMP | Defects::BAD_STRUCTURED_DATA;
    assert!(
        !read.defects.intersects(broken),
        "{}\n{read:?}",
        written.escape_ascii()
    );
    assert_eq!(read.timestamp, event.timestamp);
    assert_eq!(read.structured_data.len(), event.structured_data.len());
}

/// Any bytes are a batch of either kind or refused; what is read of a raw batch is written and read as it is.
pub fn batch(data: &[u8]) {
    let mut scratch = Vec::new();
    if let Ok(mut batch) = EventBatch::decode(data, &mut scratch, SIZE_MAX) {
        let mut events = 0;
        while let Ok(Some(_)) = batch.next_event() {
            events += 1;
        }
        assert!(events <= batch.len() && events <= SIZE_MAX);
    }
    let mut scratch = Vec::new();
    let Ok(mut batch) = RawBatch::decode(data, &mut scratch, SIZE_MAX) else {
        return;
    };
    let mut builder = RawBatchBuilder::new(batch.id(), batch.listener());
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = batch.next_frame() {
        builder.push(
            frame.received_at,
            frame.peer_addr,
            frame.tls_peer,
            frame.defects,
            frame.bytes,
        );
        frames.push(frame);
    }
    let payload = builder.finish(Compression::None);
    let mut scratch = Vec::new();
    let mut again = RawBatch::decode(&payload, &mut scratch, usize::MAX).expect("our own payload");
    for frame in frames {
        assert_eq!(again.next_frame().expect("our own payload"), Some(frame));
    }
}

/// Longest frame of the decoders: short, so that small inputs reach what is cut.
const FRAME_BYTES_MAX: usize = 16;

/// Any stream gives the same frames in one read and byte by byte, within the bounds, in step to the end.
pub fn frames(data: &[u8]) {
    assert_eq!(stream_frames([data]), stream_frames(data.chunks(1)));
}

fn stream_frames<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(Vec<u8>, FrameDefects)>, u64) {
    let mut decoder = StreamDecoder::new(FRAME_BYTES_MAX);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for read in reads {
        buffer.extend_from_slice(read);
        let mut frames = decoder.decode(&buffer);
        while let Some(frame) = frames.next_frame() {
            found.push((frame.bytes.to_vec(), frame.defects));
        }
        let consumed = frames.consumed();
        buffer.drain(..consumed);
        assert!(buffer.len() < decoder.buffer_bytes_min());
    }
    let last = decoder.finish(&buffer);
    found.extend(last.map(|frame| (frame.bytes.to_vec(), frame.defects)));
    assert!(
        found
            .iter()
            .all(|(bytes, _)| (1..=FRAME_BYTES_MAX).contains(&bytes.len()))
    );
    (found, decoder.take_discarded())
}

/// Any session gives the same RELP frames, and the same violation, in one read and byte by byte.
pub fn relp(data: &[u8]) {
    assert_eq!(relp_frames([data]), relp_frames(data.chunks(1)));
}

type RelpFrames = (Vec<(u32, Vec<u8>, Vec<u8>)>, Option<Violation>, u64);

fn relp_frames<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> RelpFrames {
    let mut decoder = RelpDecoder::new(FRAME_BYTES_MAX);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for read in reads {
        buffer.extend_from_slice(read);
        let mut frames = decoder.decode(&buffer);
        let violation = loop {
            match frames.next_frame() {
                Ok(Some(frame)) => {
                    found.push((frame.txnr.get(), frame.command.to_vec(), frame.data.to_vec()))
                }
                Ok(None) => break None,
                Err(violation) => break Some(violation),
            }
        };
        let consumed = frames.consumed();
        if violation.is_some() {
            return (found, violation, decoder.take_discarded());
        }
        buffer.drain(..consumed);
        assert!(buffer.len() < decoder.buffer_bytes_min());
    }
    (found, None, decoder.take_discarded())
}

/// Any text is refused with a place inside it, or is a query whose canonical form is the same query.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let options = query::Options {
        // 2026-11-21T12:00:00Z
        now: Timestamp::from_micros(1_795_262_400_000_000),
        ..query::Options::default()
    };
    match query::parse(&text, &options) {
        Err(problem) => {
            let units = text.encode_utf16().count();
            assert!(problem.span.start <= problem.span.end && problem.span.end <= units);
        }
        Ok(parsed) => {
            // What is written out in full may be longer than what may be typed.
            let written = parsed.query.canonical();
            if written.chars().count() <= query::LENGTH_MAX {
                let again = query::parse(&written, &options).map(|again| again.query);
                assert_eq!(again.as_ref(), Ok(&parsed.query), "{written}");
            }
        }
    }
}
