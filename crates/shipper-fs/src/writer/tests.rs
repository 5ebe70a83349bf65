//! Commits across failures at every step, crashes, other processes and other programs.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicI64},
};

use event::{Event, EventId, Timestamp};
use settings::{DestinationSettings, FileCompression, FileFormat};

use super::*;
use crate::disk::{Faults, NoFaults, Step};

fn destination(dir: &Path) -> Destination {
    Destination::new(&DestinationSettings {
        name: "all".into(),
        dir: dir.to_owned(),
        path: "{hostname}/x.log".into(),
        format: FileFormat::Template("{message}".into()),
        compression: FileCompression::None,
        routes: Vec::new(),
    })
    .unwrap()
}

fn open(destination: &Destination) -> Writer {
    open_with(destination, NoFaults).unwrap()
}

fn open_with(destination: &Destination, faults: impl Faults + 'static) -> Result<Writer, WriteError> {
    Writer::open(destination, 10, Bounds::default(), Disk::new(faults))
}

/// One batch of lines, each `(hostname, message)`.
fn part(destination: &Destination, id: BatchId, lines: &[(&str, &str)]) -> Part {
    let mut part = Part::default();
    add(&mut part, destination, id, lines);
    part
}

fn add(part: &mut Part, destination: &Destination, id: BatchId, lines: &[(&str, &str)]) {
    part.begin_batch();
    let at = Timestamp::from_micros(0);
    for (hostname, message) in lines {
        let mut event = Event::received(EventId::derive(id, 0, at), 0, at, "", "");
        event.hostname = Some((*hostname).into());
        event.message = Some((*message).into());
        part.push(destination, &event);
    }
    part.end_batch(id);
}

/// Folder → text of its file.
fn contents(dir: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.file_name() != OUR_DIR);
    let texts = folders.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (
            name,
            fs::read_to_string(entry.path().join("x.log")).unwrap_or_default(),
        )
    });
    texts.filter(|(_, text)| !text.is_empty()).collect()
}

#[track_caller]
fn check(dir: &Path, expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    assert_eq!(contents(dir), expected.collect());
}

#[track_caller]
fn written(outcome: Result<Outcome, WriteError>) {
    assert!(matches!(outcome, Ok(Outcome::Written { .. })), "{outcome:?}");
}

/// Where nobody could tell whether the journal has the batch, the next commit reads that it has.
#[track_caller]
fn written_or_found(writer: &mut Writer, part: &Part) {
    match writer.commit(part).unwrap() {
        Outcome::Written { .. } => {}
        Outcome::Repeated(ids) => assert_eq!(ids, part.batches()),
        Outcome::Refused(refused) => panic!("{refused:?}"),
    }
}

#[test]
fn a_batch_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let destination = destination(dir.path());
    let id = BatchId::mint();
    let lines = part(&destination, id, &[("a", "1"), ("b", "2"), ("a", "3")]);
    let mut writer = open(&destination);
    assert_eq!(writer.commit(&lines).unwrap(), Outcome::Written { bytes: 6 });
    assert_eq!(writer.files_open(), 2);
    for writer in [&mut writer, &mut open(&destination)] {
        assert!(writer.recent().lock().contains(id));
        assert_eq!(writer.commit(&lines).unwrap(), Outcome::Repeated(vec![id]));
    }
    check(dir.path(), &[("a", "1\n3\n"), ("b", "2\n")]);
}

#[test]
fn another_process_is_noticed_and_repeats_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let destination = destination(dir.path());
    let (mut ours, mut theirs) = (open(&destination), open(&destination));
    let shared = BatchId::mint();
    written(ours.commit(&part(&destination, shared, &[("a", "1")])));
    let mut mixed = part(&destination, BatchId::mint(), &[("a", "2")]);
    add(&mut mixed, &destination, shared, &[("a", "1")]);
    assert_eq!(theirs.commit(&mixed).unwrap(), Outcome::Repeated(vec![shared]));
    check(dir.path(), &[("a", "1\n")]);
    written(theirs.commit(&part(&destination, BatchId::mint(), &[("a", "2")])));
    written(ours.commit(&part(&destination, BatchId::mint(), &[("a", "3")])));
    check(dir.path(), &[("a", "1\n2\n3\n")]);
}

/// Fails at step number `at`, and at all later ones too if the disk or the process is gone for good.
#[derive(Debug, Clone)]
struct FailAt {
    left: Arc<AtomicI64>,
    for_good: bool,
    mended: Arc<AtomicBool>,
}

impl FailAt {
    fn new(for_good: bool) -> Self {
        Self {
            left: Arc::new(AtomicI64::new(i64::MAX)),
            for_good,
            mended: Arc::default(),
        }
    }

    /// `steps` more go well.
    fn after(&self, steps: i64) {
        self.left.store(steps, Ordering::SeqCst);
    }

    fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    fn has_failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

impl Faults for FailAt {
    fn before(&self, _: Step) -> io::Result<()> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let fails = left == 0 || (left < 0 && self.for_good);
        if fails && !self.mended.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

const FIRST: &[(&str, &str)] = &[("a", "one")];
const SECOND: &[(&str, &str)] = &[("a", "two"), ("new", "three"), ("a", "four")];
const BOTH: &[(&str, &str)] = &[("a", "one\ntwo\nfour\n"), ("new", "three\n")];

/// Commits a first batch, then a second one with a fault after `steps`; `None` when no fault came up.
fn fail_second(
    destination: &Destination,
    faults: &FailAt,
    steps: i64,
) -> Option<(Writer, Part, Result<Outcome, WriteError>)> {
    let mut writer = open_with(destination, faults.clone()).unwrap();
    written(writer.commit(&part(destination, BatchId::mint(), FIRST)));
    let second = part(destination, BatchId::mint(), SECOND);
    faults.after(steps);
    let outcome = writer.commit(&second);
    faults.has_failed().then_some((writer, second, outcome))
}

#[test]
fn an_error_at_any_step_is_mended_by_trying_again() {
    let mut steps = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let destination = destination(dir.path());
        let Some((mut writer, second, outcome)) = fail_second(&destination, &FailAt::new(false), steps)
        else {
            break;
        };
        if outcome.is_err() {
            // Nothing torn is left to be seen until then; only the last record may be in doubt.
            if contents(dir.path()).len() == 1 {
                check(dir.path(), &[("a", "one\n")]);
            } else {
                check(dir.path(), BOTH);
            }
            written_or_found(&mut writer, &second);
        }
        check(dir.path(), BOTH);
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
}

#[test]
fn a_disk_that_fails_for_a_while_is_written_when_it_works_again() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let destination = destination(dir.path());
        let faults = FailAt::new(true);
        let Some((mut writer, second, outcome)) = fail_second(&destination, &faults, steps) else {
            return;
        };
        if outcome.is_ok() {
            check(dir.path(), BOTH);
            continue;
        }
        writer.commit(&second).unwrap_err();
        faults.mend();
        written_or_found(&mut writer, &second);
        check(dir.path(), BOTH);
    }
}

#[test]
fn a_crash_at_any_step_leaves_all_or_nothing() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let destination = destination(dir.path());
        let Some((writer, second, _)) = fail_second(&destination, &FailAt::new(true), steps) else {
            assert!(steps > 10, "{steps}");
            return;
        };
        // From the failed step on nothing reached the disk, as if the process had been killed there.
        drop(writer);
        let mut successor = open(&destination);
        if successor.recent().lock().contains(second.batches()[0]) {
            check(dir.path(), BOTH);
            assert!(matches!(successor.commit(&second).unwrap(), Outcome::Repeated(_)));
        } else {
            check(dir.path(), &[("a", "one\n")]);
            written(successor.commit(&second));
        }
        check(dir.path(), BOTH);
    }
}

#[test]
fn a_living_process_takes_back_what_a_dead_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let destination = destination(dir.path());
    let mut living = open(&destination);
    // Create, create, Begin, its sync, half of the first write.
    let (dead, ..) = fail_second(&destination, &FailAt::new(true), 4).unwrap();
    drop(dead);
    assert!(contents(dir.path())["a"].len() > "one\n".len());
    written(living.commit(&part(&destination, BatchId::mint(), &[("b", "x")])));
    check(dir.path(), &[("a", "one\n"), ("b", "x\n")]);
}

#[test]
fn files_of_others_are_left_alone_when_a_commit_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let destination = destination(dir.path());
    let (dead, ..) = fail_second(&destination, &FailAt::new(true), 4).unwrap();
    drop(dead);
    let file = dir.path().join("a/x.log");
    let longer = "somebody else wrote a longer text here, which is not ours to cut\n";
    fs::write(&file, longer).unwrap();
    open(&destination);
    assert_eq!(fs::read_to_string(&file).unwrap(), longer);
}

#[test]
fn rotation_between_commits_starts_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let destination = destination(dir.path());
    let mut writer = open(&destination);
    written(writer.commit(&part(&destination, BatchId::mint(), &[("a", "1")])));
    let file = dir.path().join("a/x.log");
    fs::rename(&file, dir.path().join("a/x.log.1")).unwrap();
    written(writer.commit(&part(&destination, BatchId::mint(), &[("a", "2")])));
    check(dir.path(), &[("a", "2\n")]);
    // As `copytruncate` does it.
    fs::write(&file, "").unwrap();
    written(writer.commit(&part(&destination, BatchId::mint(), &[("a", "3")])));
    check(dir.path(), &[("a", "3\n")]);
    fs::remove_dir_all(dir.path().join("a")).unwrap();
    written(writer.commit(&part(&destination, BatchId::mint(), &[("a", "4")])));
    check(dir.path(), &[("a", "4\n")]);
}

#[test]
fn links_are_not_written_through() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let destination = destination(dir.path());
    let mut writer = open(&destination);
    symlink(outside.path(), dir.path().join("a")).unwrap();
    let lines = part(&destination, BatchId::mint(), &[("a", "1")]);
    match writer.commit(&lines).unwrap() {
        Outcome::Refused(refused) => {
            let text = &refused[b"a/x.log".as_slice()];
            assert!(text.contains("cannot open") && text.contains("a/x.log"), "{text}");
            assert_eq!(refused.len(), 1);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::remove_file(dir.path().join("a")).unwrap();
    written(writer.commit(&lines));
}

#[test]
fn a_path_that_no_event_chose_is_an_error() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut destination = destination(dir.path());
    destination.path = PathTemplate::new("logs/{hostname}.log").unwrap();
    let mut writer = open(&destination);
    symlink(outside.path(), dir.path().join("logs")).unwrap();
    let lines = part(&destination, BatchId::mint(), &[("a", "1")]);
    let error = writer.commit(&lines).unwrap_err();
    assert!(error.to_string().contains("logs/a.log"), "{error}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn compressed_files_are_readable_after_every_commit() {
    for compression in [FileCompression::Zstd, FileCompression::Gzip] {
        let dir = tempfile::tempdir().unwrap();
        let mut destination = destination(dir.path());
        destination.compression = compression;
        let faults = FailAt::new(true);
        let mut writer = open_with(&destination, faults.clone()).unwrap();
        let mut expected = String::new();
        for line in ["1", "2", "3"] {
            written(writer.commit(&part(&destination, BatchId::mint(), &[("a", line)])));
            expected = format!("{expected}{line}\n");
            assert_eq!(unpacked(dir.path(), compression), expected);
        }
        // Begin, its sync, half of the frame.
        faults.after(2);
        writer
            .commit(&part(&destination, BatchId::mint(), &[("a", "torn")]))
            .unwrap_err();
        drop(writer);
        open(&destination);
        assert_eq!(unpacked(dir.path(), compression), expected);
    }
}

fn unpacked(dir: &Path, compression: FileCompression) -> String {
    let packed = fs::read(dir.join("a/x.log")).unwrap();
    match compression {
        FileCompression::None => String::from_utf8(packed).unwrap(),
        FileCompression::Zstd => String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap(),
        FileCompression::Gzip => {
            io::read_to_string(flate2::read::MultiGzDecoder::new(packed.as_slice())).unwrap()
        }
    }
}

#[test]
fn many_writers_at_once_write_each_batch_once() {
    let dir = tempfile::tempdir().unwrap();
    let destination = destination(dir.path());
    // Each batch comes to two writers, as when the broker takes a slow one's deliveries back.
    let batches: Vec<BatchId> = (0..40).map(|_| BatchId::mint()).collect();
    let lines = |number: usize| format!("{number} {}", "x".repeat(3000));
    thread::scope(|scope| {
        for writer in 0..4 {
            let (destination, batches) = (&destination, &batches);
            scope.spawn(move || {
                let mut files = open(destination);
                for (number, id) in batches.iter().enumerate() {
                    if number % 2 == writer % 2 {
                        let text = lines(number);
                        let host = format!("h{}", number % 3);
                        files
                            .commit(&part(destination, *id, &[(&host, &text), (&host, &text)]))
                            .unwrap();
                    }
                }
            });
        }
    });
    let mut found: Vec<String> = contents(dir.path())
        .values()
        .flat_map(|text| text.lines().map(str::to_owned))
        .collect();
    let mut expected: Vec<String> = (0..batches.len())
        .flat_map(|number| [lines(number), lines(number)])
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert!(found == expected);
}
