//! The journal across crashes, other processes and its own bounds.

use super::*;
use crate::{disk::NoFaults, root::FileId};

fn disk() -> Disk {
    Disk::new(NoFaults)
}

fn open(root: &Root) -> Journal {
    Journal::open(root, b".logferry/j", Bounds::default(), &disk()).unwrap()
}

fn growth(path: &str) -> Growth {
    Growth {
        path: path.as_bytes().to_vec(),
        id: FileId { device: 1, inode: 2 },
        len: 3,
        added: 4,
    }
}

fn ids(count: usize) -> Vec<BatchId> {
    (0..count).map(|_| BatchId::mint()).collect()
}

fn knows(journal: &Journal, ids: &[BatchId]) -> bool {
    ids.iter().all(|id| journal.recent().lock().contains(*id))
}

#[test]
fn commits_are_known_after_reopening_and_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let (mut ours, mut theirs) = (open(&root), open(&root));
    let written = ids(3);
    ours.begin(vec![growth("a"), growth("b")], &disk()).unwrap();
    theirs.catch_up(&root, &disk()).unwrap();
    assert_eq!(theirs.pending(), Some([growth("a"), growth("b")].as_slice()));
    ours.commit(written.clone(), &disk()).unwrap();
    theirs.catch_up(&root, &disk()).unwrap();
    for journal in [ours, theirs, open(&root)] {
        assert!(knows(&journal, &written));
        assert!(!knows(&journal, &ids(1)));
        assert!(journal.pending().is_none());
    }
}

#[test]
fn what_was_begun_and_not_ended_is_pending() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    open(&root).begin(vec![growth("a")], &disk()).unwrap();
    let mut journal = open(&root);
    assert_eq!(journal.pending(), Some([growth("a")].as_slice()));
    journal.undone(&disk()).unwrap();
    assert!(open(&root).pending().is_none());
}

#[test]
fn a_torn_record_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let written = ids(1);
    open(&root).commit(written.clone(), &disk()).unwrap();
    let path = dir.path().join(".logferry/j");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [whole.as_slice(), b"\x09\0\0\0torn"].concat()).unwrap();
    assert!(knows(&open(&root), &written));
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn an_emptied_journal_is_begun_anew_and_a_foreign_file_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let mut journal = open(&root);
    journal.commit(ids(1), &disk()).unwrap();
    let path = dir.path().join(".logferry/j");
    fs::write(&path, "").unwrap();
    journal.catch_up(&root, &disk()).unwrap();
    let written = ids(1);
    journal.commit(written.clone(), &disk()).unwrap();
    assert!(knows(&open(&root), &written));
    fs::write(&path, "something else").unwrap();
    let refused = Journal::open(&root, b".logferry/j", Bounds::default(), &disk());
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn remembers_between_one_and_two_generations_in_every_process() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let bounds = Bounds {
        ids: 10,
        bytes: u64::MAX,
    };
    let open = || Journal::open(&root, b"j", bounds, &disk()).unwrap();
    let (mut ours, mut seldom) = (open(), open());
    let mut written = Vec::new();
    for generation in 0..5 {
        let batch = ids(10);
        ours.commit(batch.clone(), &disk()).unwrap();
        ours.rotate_if_large(&root, &disk()).unwrap();
        written.push(batch);
        // One that looks at each turn, and one that misses several.
        let mut often = open();
        often.catch_up(&root, &disk()).unwrap();
        let journals = if generation == 4 {
            seldom.catch_up(&root, &disk()).unwrap();
            vec![&ours, &often, &seldom]
        } else {
            vec![&ours, &often]
        };
        for journal in journals {
            assert!(knows(journal, written.last().unwrap()));
            let recent = journal.recent();
            let recent = recent.lock();
            let remembered = recent.newer.len() + recent.older.len();
            assert!(remembered <= 20, "{remembered}");
        }
    }
    assert!(!knows(&ours, &written[0]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}
