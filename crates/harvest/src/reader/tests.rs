use std::io::Write;

use event::RawBatch;
use settings::{MultilineSettings, Settings, Sources};

use super::*;

fn plan(keys: &str) -> Arc<Plan> {
    let text = format!(
        "[harvest]\nbatch_bytes_max = \"2KiB\"\n[[harvest.folder]]\nname = \"up\"\npath = \"/x\"\nframe_bytes_max = \"1KiB\"\n{keys}"
    );
    let sources = Sources {
        file: Some(("logferry.toml".into(), text)),
        ..Sources::default()
    };
    let settings = Settings::from_sources(&sources).unwrap().harvest;
    Arc::new(Plan::new(&settings, &settings.folders[0]).unwrap())
}

const JOINED: &str = "[harvest.folder.multiline]\ncontinuation = '^ '\nbytes_max = \"1KiB\"\n";

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(plan: &Arc<Plan>, bytes: &[u8], done_to: u64) -> Reader {
    Reader::open(Arc::clone(plan), "/x/a.log".to_owned(), file(bytes), done_to).unwrap()
}

/// The frames of a batch.
fn frames(batch: &Batch) -> Vec<String> {
    let mut scratch = Vec::new();
    let mut raw = RawBatch::decode(&batch.payload, &mut scratch, 1 << 24).unwrap();
    assert_eq!((raw.id(), raw.listener()), (batch.planned.batch, "up"));
    let mut frames = Vec::new();
    while let Some(frame) = raw.next_frame().unwrap() {
        assert_eq!(frame.peer_addr, "/x/a.log");
        assert_eq!(frame.received_at, batch.planned.received_at);
        frames.push(String::from_utf8_lossy(frame.bytes).into_owned());
    }
    frames
}

/// All batches up to the end, or up to what cannot be read.
fn read_all(reader: &mut Reader, at_end: AtEnd) -> (Vec<Batch>, Option<io::Error>) {
    let mut batches = Vec::new();
    loop {
        match reader.next(None, at_end) {
            Ok((batch, has_more)) => {
                batches.extend(batch);
                if !has_more {
                    return (batches, None);
                }
            }
            Err(error) => return (batches, Some(error)),
        }
    }
}

fn text() -> String {
    (0..1000)
        .map(|n| format!("line {n}\n{}", if n % 7 == 0 { " more\n\n last\n" } else { "" }))
        .collect()
}

#[test]
fn batches_cover_the_file_and_can_be_read_again_the_same() {
    // An empty line is no event by itself; joined, it begins one, as it does not match.
    for (keys, count) in [("", 1000 + 2 * 143), (JOINED, 1000 + 143)] {
        let (plan, text) = (plan(keys), text());
        let (batches, error) = read_all(&mut open(&plan, text.as_bytes(), 0), AtEnd::CompleteFile);
        assert!(error.is_none() && batches.len() > 5);
        let mut at = 0;
        for batch in &batches {
            assert_eq!(batch.planned.start, at);
            at = batch.planned.stop;
        }
        assert_eq!(at, text.len() as u64);
        let all: Vec<_> = batches.iter().flat_map(frames).collect();
        assert_eq!(all.len(), count);
        for from in [0, 1, batches.len() - 1] {
            let mut reader = open(&plan, text.as_bytes(), batches[from].planned.start);
            for batch in &batches[from..] {
                let (again, _) = reader.next(Some(batch.planned), AtEnd::CompleteFile).unwrap();
                let again = again.unwrap();
                assert_eq!(again.planned, batch.planned);
                assert!(again.payload == batch.payload);
            }
        }
    }
}

#[test]
fn a_living_file_gives_what_is_complete() {
    let plan = plan(JOINED);
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut writer = path.reopen().unwrap();
    let mut reader = Reader::open(plan, "/x/a.log".to_owned(), path.reopen().unwrap(), 0).unwrap();
    let mut write = |bytes: &[u8]| writer.write_all(bytes).unwrap();
    write(b"a\n 1\nb\n un");
    let (batch, has_more) = reader.next(None, AtEnd::Wait).unwrap();
    let batch = batch.unwrap();
    assert_eq!((frames(&batch), has_more), (vec!["a\n 1".to_owned()], false));
    assert_eq!((batch.planned.stop, reader.done_to()), (5, 5));
    write(b"finished\nc");
    assert!(reader.next(None, AtEnd::Wait).unwrap().0.is_none());
    let (batch, _) = reader.next(None, AtEnd::CompleteEvent).unwrap();
    let batch = batch.unwrap();
    assert_eq!(frames(&batch), ["b\n unfinished"]);
    assert_eq!(batch.planned.stop, 19);
    assert!(!reader.has_open_event() && reader.has_rest());
    let (batch, _) = reader.next(None, AtEnd::CompleteFile).unwrap();
    assert_eq!(frames(&batch.unwrap()), ["c"]);
    assert!(!reader.has_rest());
    assert_eq!(reader.done_to(), 20);
}

#[test]
fn a_line_of_100_mb_is_cut_and_the_rest_goes_on() {
    let mut bytes = b"before\n".to_vec();
    bytes.resize(100_000_000, b'x');
    bytes.extend_from_slice(b"\nafter\n");
    let mut reader = open(&plan(""), &bytes, 0);
    let (batches, error) = read_all(&mut reader, AtEnd::CompleteFile);
    let all: Vec<_> = batches.iter().flat_map(frames).collect();
    assert!(error.is_none());
    assert_eq!((all.len(), all[1].len(), reader.cut_lines), (3, 1024, 1));
    assert_eq!(all[2], "after");
}

#[test]
fn nul_bytes_are_part_of_lines() {
    let (batches, _) = read_all(&mut open(&plan(""), b"a\0b\n\0\0\n", 0), AtEnd::CompleteFile);
    assert_eq!(frames(&batches[0]), ["a\0b", "\0\0"]);
}

#[test]
fn of_a_damaged_file_all_that_can_be_read_is_taken() {
    let text = text();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    for keys in ["", JOINED] {
        let mut reader = open(&plan(keys), &packed[..packed.len() - 100], 0);
        let (batches, error) = read_all(&mut reader, AtEnd::CompleteFile);
        assert!(error.is_some() && !reader.has_rest());
        let end = batches.last().unwrap().planned.stop;
        assert!(text.is_char_boundary(usize::try_from(end).unwrap()) && end > 5000);
        assert_eq!(reader.done_to(), end);
    }
}

#[test]
fn settings_of_joining_are_used() {
    let lines = MultilineSettings {
        pattern: LinePattern::Start("^#".to_owned()),
        timeout: std::time::Duration::from_secs(1),
        bytes_max: 1000,
        lines_max: 2,
    };
    let mut settings = Settings::default().harvest;
    settings.batch_bytes_max = 4096;
    let text = "[[harvest.folder]]\nname = \"up\"\npath = \"/x\"";
    let sources = Sources {
        file: Some(("logferry.toml".into(), text.to_owned())),
        ..Sources::default()
    };
    let mut folder = Settings::from_sources(&sources)
        .unwrap()
        .harvest
        .folders
        .remove(0);
    folder.multiline = Some(lines);
    let plan = Arc::new(Plan::new(&settings, &folder).unwrap());
    let (batches, _) = read_all(&mut open(&plan, b"#a\n1\n2\n#b", 0), AtEnd::CompleteFile);
    assert_eq!(frames(&batches[0]), ["#a\n1", "2", "#b"]);
}
