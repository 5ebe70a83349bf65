use proptest::prelude::*;

use super::*;

type Owned = (Vec<u8>, FrameDefects);

const NONE: FrameDefects = FrameDefects::empty();
const CUT: FrameDefects = FrameDefects::TRUNCATED;
const OPEN: FrameDefects = FrameDefects::UNTERMINATED;

/// Feeds `reads` one after the other, keeping what is not consumed, as a connection does.
fn decode<'a>(max: usize, reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, u64) {
    let mut decoder = StreamDecoder::new(max);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for read in reads {
        buffer.extend_from_slice(read);
        let mut frames = decoder.decode(&buffer);
        while let Some(frame) = frames.next_frame() {
            assert!(frame.bytes.len() <= max);
            found.push((frame.bytes.to_vec(), frame.defects));
        }
        let consumed = frames.consumed();
        buffer.drain(..consumed);
        assert!(buffer.len() < decoder.buffer_bytes_min());
    }
    found.extend(
        decoder
            .finish(&buffer)
            .map(|frame| (frame.bytes.to_vec(), frame.defects)),
    );
    (found, decoder.take_discarded())
}

#[track_caller]
fn check(stream: &[u8], expected: &[(&[u8], FrameDefects)]) {
    check_cut(1000, stream, expected, 0);
}

#[track_caller]
fn check_cut(max: usize, stream: &[u8], expected: &[(&[u8], FrameDefects)], discarded: u64) {
    let expected: Vec<Owned> = expected
        .iter()
        .map(|(bytes, defects)| (bytes.to_vec(), *defects))
        .collect();
    assert_eq!(
        decode(max, [stream]),
        (expected.clone(), discarded),
        "in one read"
    );
    assert_eq!(
        decode(max, stream.chunks(1)),
        (expected, discarded),
        "byte by byte"
    );
}

#[test]
fn lines_end_with_lf_cr_lf_or_nul() {
    check(
        b"<13>a\n<13>b\r\n<13>c\0<13>d\re\n",
        &[
            (b"<13>a", NONE),
            (b"<13>b", NONE),
            (b"<13>c", NONE),
            (b"<13>d\re", NONE),
        ],
    );
}

#[test]
fn empty_lines_are_no_frames() {
    check(
        b"\n\r\n\0\n<13>a\n\n5 <13>b\n5 <13>c\r\n",
        &[(b"<13>a", NONE), (b"<13>b", NONE), (b"<13>c", NONE)],
    );
}

#[test]
fn counted_frames_hold_any_bytes_and_mix_with_lines() {
    check(
        b"12 <13>two\nline5 <13>a<13>line\n7 <13>\0\0x",
        &[
            (b"<13>two\nline", NONE),
            (b"<13>a", NONE),
            (b"<13>line", NONE),
            (b"<13>\0\0x", NONE),
        ],
    );
}

#[test]
fn a_terminator_inside_the_count_is_no_part_of_the_message() {
    check(
        b"6 <13>a\n7 <13>b\r\n6 <13>c\0",
        &[(b"<13>a", NONE), (b"<13>b", NONE), (b"<13>c", NONE)],
    );
}

#[test]
fn digits_that_count_nothing_begin_a_line() {
    for line in [
        "123 text",
        "404 not found",
        "2026-11-21 10:00:00 up",
        "000123: *Mar  1 00:00:05: %SYS-5-CONFIG_I: done",
        "007 <13>leading zero",
        "0 <13>zero",
        "12",
        "12 ",
        "5<13>no space",
        "5\t<13>no space",
        "12345678901 <13>no such count",
        "99999999 <13>above what is believed",
        "5000 above the longest frame",
    ] {
        let stream = format!("{line}\n<13>next\n");
        check(stream.as_bytes(), &[(line.as_bytes(), NONE), (b"<13>next", NONE)]);
    }
}

#[test]
fn counts_of_other_things_than_syslog_count() {
    check(
        b"5 hello5 world11 {\"a\": true}<13>x\n6 hello\n",
        &[
            (b"hello", NONE),
            (b"world", NONE),
            (b"{\"a\": true}", NONE),
            (b"<13>x", NONE),
            (b"hello", NONE),
        ],
    );
}

#[test]
fn counts_that_lie_cost_only_what_they_count() {
    // Too short: the rest is a line. Too long: the next frame is swallowed, as by every receiver.
    check(
        b"5 <13>hello\n<13>a\n13 <13>b\n<13>c\n<13>d\n",
        &[
            (b"<13>h", NONE),
            (b"ello", NONE),
            (b"<13>a", NONE),
            (b"<13>b\n<13>c\n<", NONE),
            (b"13>d", NONE),
        ],
    );
}

#[test]
fn long_lines_are_cut_and_the_connection_stays_in_step() {
    check_cut(
        6,
        b"<13>ab\n<13>ab\r\n<13>c\n",
        &[(b"<13>ab", NONE), (b"<13>ab", NONE), (b"<13>c", NONE)],
        0,
    );
    check_cut(6, b"<13>abc\n<13>d\n", &[(b"<13>ab", CUT), (b"<13>d", NONE)], 1);
    check_cut(
        6,
        b"<13>abcdef\0<13>d\n",
        &[(b"<13>ab", CUT), (b"<13>d", NONE)],
        4,
    );
    check_cut(
        6,
        b"<13>abcdef\r\n<13>d\n",
        &[(b"<13>ab", CUT), (b"<13>d", NONE)],
        5,
    );
}

#[test]
fn long_counted_frames_are_cut_and_the_connection_stays_in_step() {
    check_cut(
        6,
        b"6 <13>ab8 <13>ab\r\n5 <13>c",
        &[(b"<13>ab", NONE), (b"<13>ab", NONE), (b"<13>c", NONE)],
        0,
    );
    check_cut(6, b"7 <13>abc5 <13>d", &[(b"<13>ab", CUT), (b"<13>d", NONE)], 1);
    check_cut(
        6,
        b"12 <13>ab\nd\nefg5 <13>d",
        &[(b"<13>ab", CUT), (b"<13>d", NONE)],
        6,
    );
}

#[test]
fn the_end_of_the_stream_ends_the_frame() {
    check(b"<13>a\n<13>b", &[(b"<13>a", NONE), (b"<13>b", OPEN)]);
    check(b"50 <13>b", &[(b"<13>b", OPEN)]);
    check(b"50 half a line", &[(b"50 half a line", OPEN)]);
    check(b"50", &[(b"50", OPEN)]);
    check(b"50 ", &[(b"50 ", OPEN)]);
    check_cut(6, b"<13>abc", &[(b"<13>ab", CUT | OPEN)], 1);
    // Cut already; the rest is only discarded.
    check_cut(6, b"<13>abcdef", &[(b"<13>ab", CUT)], 4);
    check_cut(6, b"100 <13>abcdef", &[(b"<13>ab", CUT)], 4);
}

#[test]
fn ten_megabytes_without_a_line_feed_are_one_frame() {
    let stream = vec![b'x'; 10 << 20];
    let (frames, discarded) = decode(65_536, stream.chunks(4096));
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].1, CUT);
    assert_eq!(discarded, (10 << 20) - 65_536);
}

#[test]
fn a_line_byte_by_byte_takes_linear_time() {
    let mut decoder = StreamDecoder::new(1 << 17);
    let line = vec![b'7'; 1 << 17];
    for end in 1..line.len() {
        assert!(decoder.decode(&line[..end]).next_frame().is_none());
        // All that was seen is not searched again.
        assert!(decoder.scanned == end || end <= COUNT_DIGITS_MAX);
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"<13>".to_vec()),
        (0_usize..30).prop_map(|count| format!("{count} ").into_bytes()),
        (0_usize..30).prop_map(|count| format!("{count} <13>").into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..12),
        "[a-z]{0,12}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_split_into_reads_gives_the_same_frames(
        pieces in proptest::collection::vec(piece(), 0..40),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let stream = pieces.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let whole = decode(16, [&stream[..]]);
        prop_assert_eq!(&decode(16, cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]])), &whole);
        prop_assert_eq!(&decode(16, stream.chunks(1)), &whole);
    }

    #[test]
    fn what_is_encoded_is_decoded(
        frames in proptest::collection::vec((any::<bool>(), "<13>[ -~]{0,40}"), 0..20),
    ) {
        let mut stream = Vec::new();
        for (counted, frame) in &frames {
            if *counted {
                crate::write_octet_counted(&mut stream, frame.as_bytes());
            } else {
                crate::write_line(&mut stream, frame.as_bytes());
            }
        }
        let expected: Vec<_> = frames.into_iter().map(|(_, frame)| (frame.into_bytes(), NONE)).collect();
        prop_assert_eq!(decode(100, [&stream[..]]), (expected, 0));
    }
}
