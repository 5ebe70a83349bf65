//! What people write down on the pages.

use event::Timestamp;

use super::fixture::{Fixture, NOON};
use crate::{Note, Subject};

fn note(subject: Subject, key: &str, after: i64) -> Note {
    Note {
        subject,
        key: key.to_owned(),
        author: "ana".to_owned(),
        at: Timestamp::from_micros(NOON + after),
        body: format!("{{\"q\":\"{key} ü\"}}"),
    }
}

fn keys(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| &*note.key).collect()
}

pub(super) async fn notes_are_kept_by_subject_and_key(fixture: &Fixture) {
    let notes = fixture.store.notes();
    assert_eq!(notes.get(Subject::Search, "a").await.unwrap(), None);
    for subject in Subject::ALL {
        assert!(notes.add(&note(subject, "a", 0)).await.unwrap());
    }
    assert!(
        !notes.add(&note(Subject::Search, "a", 5)).await.unwrap(),
        "it stays"
    );
    let kept = notes.get(Subject::Search, "a").await.unwrap();
    assert_eq!(kept, Some(note(Subject::Search, "a", 0)));
    let other = Note {
        author: "ben".to_owned(),
        body: "{}".to_owned(),
        ..note(Subject::Search, "a", 7)
    };
    notes.put(&other).await.unwrap();
    assert_eq!(notes.get(Subject::Search, "a").await.unwrap(), Some(other));
    assert!(notes.remove(Subject::Search, "a").await.unwrap());
    assert!(!notes.remove(Subject::Search, "a").await.unwrap());
    assert_eq!(notes.count(Subject::Search).await.unwrap(), 0);
    assert_eq!(notes.count(Subject::Act).await.unwrap(), 1);
}

pub(super) async fn the_newest_notes_come_first_and_the_oldest_go(fixture: &Fixture) {
    let notes = fixture.store.notes();
    for (key, after) in [("one", 1), ("three", 3), ("two", 2), ("too", 2)] {
        notes.put(&note(Subject::Act, key, after)).await.unwrap();
    }
    notes.put(&note(Subject::Link, "other", 9)).await.unwrap();
    let newest = notes.newest(Subject::Act, None, 3).await.unwrap();
    assert_eq!(keys(&newest), ["three", "too", "two"]);
    let before = Some(Timestamp::from_micros(NOON + 2));
    let older = notes.newest(Subject::Act, before, 10).await.unwrap();
    assert_eq!(keys(&older), ["one"]);
    assert_eq!(notes.trim(Subject::Act, 2).await.unwrap(), 2);
    let left = notes.newest(Subject::Act, None, 10).await.unwrap();
    assert_eq!(keys(&left), ["three", "too"]);
    assert_eq!(notes.count(Subject::Link).await.unwrap(), 1);
}
