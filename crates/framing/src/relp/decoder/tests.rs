use proptest::prelude::*;

use super::*;
use crate::relp::write_frame;

type Owned = (u32, String, Vec<u8>, FrameDefects);
type Decoded = (Vec<Owned>, Option<Violation>, u64);

fn decode<'a>(max: usize, reads: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = RelpDecoder::new(max);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    let mut violation = None;
    for read in reads {
        buffer.extend_from_slice(read);
        let mut frames = decoder.decode(&buffer);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => found.push((
                    frame.txnr.get(),
                    String::from_utf8(frame.command.to_vec()).unwrap(),
                    frame.data.to_vec(),
                    frame.defects,
                )),
                Ok(None) => break,
                Err(error) => {
                    violation = Some(error);
                    break;
                }
            }
        }
        let consumed = frames.consumed();
        buffer.drain(..consumed);
        assert!(violation.is_some() || buffer.len() < decoder.buffer_bytes_min());
    }
    (found, violation, decoder.take_discarded())
}

#[track_caller]
fn check(stream: &[u8], expected: &[(u32, &str, &[u8])], violation: Option<Violation>) {
    let expected: Vec<Owned> = expected
        .iter()
        .map(|(txnr, command, data)| (*txnr, (*command).to_owned(), data.to_vec(), FrameDefects::empty()))
        .collect();
    assert_eq!(
        decode(100, [stream]),
        (expected.clone(), violation, 0),
        "in one read"
    );
    assert_eq!(
        decode(100, stream.chunks(1)),
        (expected, violation, 0),
        "byte by byte"
    );
}

#[test]
fn a_session_is_a_row_of_frames() {
    check(
        b"1 open 14 relp_version=0\n2 syslog 9 <13>hello\n3 syslog 7 <13>\n\n\n\n4 close 0\n0 serverclose 0\n",
        &[
            (1, "open", b"relp_version=0"),
            (2, "syslog", b"<13>hello"),
            (3, "syslog", b"<13>\n\n\n"),
            (4, "close", b""),
            (0, "serverclose", b""),
        ],
        None,
    );
}

#[test]
fn what_the_grammar_forbids_is_a_violation() {
    let longest_command = "a".repeat(32);
    check(
        format!("999999999 {longest_command} 1 x\n").as_bytes(),
        &[(999_999_999, &longest_command, b"x")],
        None,
    );
    check(b"x", &[], Some(Violation::Txnr));
    check(b" 1 syslog 0\n", &[], Some(Violation::Txnr));
    check(b"1\tsyslog 0\n", &[], Some(Violation::Txnr));
    check(b"1234567890", &[], Some(Violation::Txnr));
    check(b"<13>plain syslog\n", &[], Some(Violation::Txnr));
    check(b"1  1 x\n", &[], Some(Violation::Command));
    check(b"1 sys-log", &[], Some(Violation::Command));
    check(
        format!("1 {longest_command}a").as_bytes(),
        &[],
        Some(Violation::Command),
    );
    check(b"1 syslog x", &[], Some(Violation::DataLen));
    check(b"1 syslog -1 ", &[], Some(Violation::DataLen));
    check(b"1 syslog 1234567890", &[], Some(Violation::DataLen));
    check(b"1 syslog 1\n", &[], Some(Violation::DataLen));
    check(b"1 syslog 0 \n", &[], Some(Violation::DataLen));
    check(
        b"1 syslog 999999999 x",
        &[],
        Some(Violation::TooLong(999_999_999)),
    );
    check(b"1 syslog 1 xy\n", &[], Some(Violation::Trailer));
    check(
        b"1 syslog 1 x\n2 syslog 2 x\n2",
        &[(1, "syslog", b"x")],
        Some(Violation::Trailer),
    );
}

#[test]
fn a_violation_stays() {
    let mut decoder = RelpDecoder::new(100);
    assert_eq!(decoder.decode(b"x").next_frame(), Err(Violation::Txnr));
    assert_eq!(decoder.decode(b"1 close 0\n").next_frame(), Err(Violation::Txnr));
}

#[test]
fn long_data_is_cut_and_the_session_stays_in_step() {
    let stream = b"1 syslog 8 <13>abcd\n2 syslog 6 <13>ab\n3 syslog 7 <13>abc\n4 close 0\n";
    let expected = vec![
        (
            1,
            "syslog".to_owned(),
            b"<13>ab".to_vec(),
            FrameDefects::TRUNCATED,
        ),
        (2, "syslog".to_owned(), b"<13>ab".to_vec(), FrameDefects::empty()),
        (
            3,
            "syslog".to_owned(),
            b"<13>ab".to_vec(),
            FrameDefects::TRUNCATED,
        ),
        (4, "close".to_owned(), b"".to_vec(), FrameDefects::empty()),
    ];
    assert_eq!(decode(6, [&stream[..]]), (expected.clone(), None, 3));
    assert_eq!(decode(6, stream.chunks(1)), (expected, None, 3));
    let lying = b"1 syslog 8 <13>abcdef\n";
    assert_eq!(decode(6, lying.chunks(1)).1, Some(Violation::Trailer));
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let whole = (0_u32..20, proptest::collection::vec(any::<u8>(), 0..30)).prop_map(|(txnr, data)| {
        let mut out = Vec::new();
        write_frame(&mut out, Txnr::new(txnr).unwrap(), "syslog", &data);
        out
    });
    prop_oneof![20 => whole, 1 => proptest::collection::vec(any::<u8>(), 0..8)]
}

proptest! {
    #[test]
    fn any_split_into_reads_gives_the_same_frames(
        pieces in proptest::collection::vec(piece(), 0..20),
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
    fn what_is_written_is_read(
        frames in proptest::collection::vec(
            (0_u32..=crate::relp::TXNR_MAX, "[a-zA-Z]{1,32}", proptest::collection::vec(any::<u8>(), 0..100)), 0..20),
    ) {
        let mut stream = Vec::new();
        for (txnr, command, data) in &frames {
            write_frame(&mut stream, Txnr::new(*txnr).unwrap(), command, data);
        }
        let expected: Vec<Owned> = frames
            .into_iter()
            .map(|(txnr, command, data)| (txnr, command, data, FrameDefects::empty()))
            .collect();
        prop_assert_eq!(decode(100, [&stream[..]]), (expected, None, 0));
    }
}
