//! Lines on their way to the files of one destination, collected until they are written together.

use std::collections::{HashMap, HashSet};

use event::{BatchId, Event};

use crate::destination::Destination;

/// Buffers kept for the next use do not hold more than this, so that one large file does not hold memory for ever.
const SPARE_BYTES_MAX: usize = 4 << 20;
/// And no more buffers than this.
const SPARES_MAX: usize = 64;

/// The lines of some batches for one destination, by file.
#[derive(Debug, Default)]
pub(crate) struct Part {
    files: Vec<FileLines>,
    by_path: HashMap<Box<[u8]>, usize>,
    /// Events mostly go where the last one went.
    last: usize,
    batches: Vec<BatchId>,
    bytes: usize,
    lines: u64,
    /// As they were before the batch that is being formatted.
    mark: Mark,
    spares: Vec<Vec<u8>>,
    path: Vec<u8>,
}

#[derive(Debug, Default)]
struct Mark {
    batch: u64,
    bytes: usize,
    lines: u64,
    files: usize,
}

/// The lines for one file.
#[derive(Debug)]
pub(crate) struct FileLines {
    pub(crate) path: Box<[u8]>,
    pub(crate) data: Vec<u8>,
    /// Length of `data` before the batch numbered `marked_by`.
    mark: usize,
    marked_by: u64,
}

impl Part {
    /// From here on, lines belong to one batch, until [`end_batch`](Self::end_batch) or
    /// [`undo_batch`](Self::undo_batch).
    pub(crate) fn begin_batch(&mut self) {
        self.mark = Mark {
            batch: self.mark.batch + 1,
            bytes: self.bytes,
            lines: self.lines,
            files: self.files.len(),
        };
    }

    /// The lines since [`begin_batch`](Self::begin_batch) are all of batch `id`.
    pub(crate) fn end_batch(&mut self, id: BatchId) {
        self.batches.push(id);
    }

    /// Only batches, without a line: whoever commits them knows them from then on.
    pub(crate) fn set_known(&mut self, ids: impl Iterator<Item = BatchId>) {
        self.clear();
        self.batches.extend(ids);
    }

    /// Takes the lines since [`begin_batch`](Self::begin_batch) away.
    pub(crate) fn undo_batch(&mut self) {
        for file in self.files.drain(self.mark.files..) {
            self.by_path.remove(&file.path);
        }
        for file in &mut self.files {
            if file.marked_by == self.mark.batch {
                file.data.truncate(file.mark);
            }
        }
        (self.bytes, self.lines) = (self.mark.bytes, self.mark.lines);
    }

    /// Formats `event` for its file.
    pub(crate) fn push(&mut self, destination: &Destination, event: &Event<'_>) {
        destination.path.write(event, &mut self.path);
        let at = self.file_of_path();
        let Some(file) = self.files.get_mut(at) else {
            return;
        };
        let before = file.data.len();
        if file.marked_by != self.mark.batch {
            (file.mark, file.marked_by) = (before, self.mark.batch);
        }
        destination.format.write(event, &mut file.data);
        self.bytes += file.data.len() - before;
        self.lines += 1;
    }

    fn file_of_path(&mut self) -> usize {
        let is_last = |file: &FileLines| *file.path == *self.path;
        if self.files.get(self.last).is_some_and(is_last) {
            return self.last;
        }
        self.last = match self.by_path.get(self.path.as_slice()) {
            Some(at) => *at,
            None => {
                self.by_path.insert(self.path.as_slice().into(), self.files.len());
                self.files.push(FileLines {
                    path: self.path.as_slice().into(),
                    data: self.spares.pop().unwrap_or_default(),
                    mark: 0,
                    marked_by: self.mark.batch,
                });
                self.files.len() - 1
            }
        };
        self.last
    }

    /// Takes the files at `paths` out, whose `lines` in all are not to be written. Their batches stay: what else
    /// they have is all that there is.
    pub(crate) fn leave_out(&mut self, paths: &HashSet<Box<[u8]>>, lines: u64) {
        self.files.retain(|file| !paths.contains(&file.path));
        self.bytes = self.files.iter().map(|file| file.data.len()).sum();
        self.lines = self.lines.saturating_sub(lines);
        self.last = 0;
        self.by_path = (0..)
            .zip(&self.files)
            .map(|(at, file)| (file.path.clone(), at))
            .collect();
    }

    /// The batches whose lines these are.
    pub(crate) fn batches(&self) -> &[BatchId] {
        &self.batches
    }

    pub(crate) fn files(&self) -> &[FileLines] {
        &self.files
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }

    /// Makes it empty and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.by_path.clear();
        self.batches.clear();
        (self.bytes, self.lines, self.last) = (0, 0, 0);
        for file in self.files.drain(..) {
            let mut data = file.data;
            if data.capacity() <= SPARE_BYTES_MAX && self.spares.len() < SPARES_MAX {
                data.clear();
                self.spares.push(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{EventId, Timestamp};
    use settings::{DestinationSettings, FileCompression, FileFormat};

    use super::*;

    fn destination() -> Destination {
        Destination::new(&DestinationSettings {
            name: "d".into(),
            dir: "/nowhere".into(),
            path: "{hostname}.log".into(),
            format: FileFormat::Template("{message}".into()),
            compression: FileCompression::None,
            routes: Vec::new(),
        })
        .unwrap()
    }

    fn push(part: &mut Part, hostname: &str, message: &str) {
        let at = Timestamp::from_micros(0);
        let mut event = Event::received(EventId::derive(BatchId::mint(), 0, at), 0, at, "", "");
        event.hostname = Some(hostname.into());
        event.message = Some(message.into());
        part.push(&destination(), &event);
    }

    fn contents(part: &Part) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        part.files()
            .iter()
            .map(|file| (text(&file.path), text(&file.data)))
            .collect()
    }

    #[test]
    fn lines_go_to_their_files_and_a_bad_batch_leaves_none() {
        let mut part = Part::default();
        let good = BatchId::mint();
        part.begin_batch();
        push(&mut part, "a", "1");
        push(&mut part, "b", "2");
        part.end_batch(good);
        part.begin_batch();
        push(&mut part, "a", "torn");
        push(&mut part, "c", "torn");
        push(&mut part, "a", "torn");
        part.undo_batch();
        let expected = [("a.log".into(), "1\n".into()), ("b.log".into(), "2\n".into())];
        assert_eq!(contents(&part), expected);
        assert_eq!(
            (part.bytes(), part.lines(), part.batches()),
            (4, 2, [good].as_slice())
        );

        part.begin_batch();
        push(&mut part, "c", "3");
        part.end_batch(BatchId::mint());
        assert_eq!(contents(&part)[2], ("c.log".into(), "3\n".into()));

        part.leave_out(&HashSet::from([b"b.log".as_slice().into()]), 1);
        let expected = [("a.log".into(), "1\n".into()), ("c.log".into(), "3\n".into())];
        assert_eq!(contents(&part), expected);
        assert_eq!((part.bytes(), part.lines(), part.batches().len()), (4, 2, 2));
        part.begin_batch();
        push(&mut part, "c", "4");
        part.end_batch(BatchId::mint());
        assert_eq!(contents(&part)[1], ("c.log".into(), "3\n4\n".into()));

        part.clear();
        assert_eq!((part.bytes(), part.lines(), part.files().len()), (0, 0, 0));
        part.begin_batch();
        push(&mut part, "b", "4");
        assert_eq!(contents(&part), [("b.log".into(), "4\n".into())]);
    }
}
