//! From the text of a file to raw batches, each with its place in the file.

use std::{fs::File, io, sync::Arc};

use encoding_rs::Encoding;
use event::{BatchId, Compression, FrameDefects, RawBatchBuilder, Timestamp};
use framing::{Frame, Joiner, LineDecoder, MultilineRule};
use settings::{FolderSettings, HarvestSettings, LinePattern};

use crate::{progress::Planned, source::Source};

/// What a frame takes in a batch besides its bytes, about.
const FRAME_OVERHEAD_BYTES: usize = 16;

/// How files of one folder are read.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The folder's name, the listener of its events.
    pub(crate) listener: String,
    pub(crate) batch_bytes_max: usize,
    pub(crate) batch_frames_max: u32,
    pub(crate) compression: Compression,
    frame_bytes_max: usize,
    encoding: &'static Encoding,
    joining: Option<Arc<MultilineRule>>,
}

impl Plan {
    pub(crate) fn new(settings: &HarvestSettings, folder: &FolderSettings) -> anyhow::Result<Self> {
        let joining = folder.multiline.as_ref().map(|lines| match &lines.pattern {
            LinePattern::Start(pattern) => MultilineRule::starting(pattern, lines.bytes_max, lines.lines_max),
            LinePattern::Continuation(pattern) => {
                MultilineRule::continuing(pattern, lines.bytes_max, lines.lines_max)
            }
        });
        Ok(Self {
            listener: folder.name.clone(),
            batch_bytes_max: settings.batch_bytes_max,
            batch_frames_max: settings.batch_frames_max,
            compression: match settings.compression {
                settings::Compression::None => Compression::None,
                settings::Compression::Lz4 => Compression::Lz4,
            },
            frame_bytes_max: folder.frame_bytes_max,
            encoding: Encoding::for_label(folder.encoding.as_bytes()).unwrap_or(encoding_rs::UTF_8),
            joining: joining.transpose()?.map(Arc::new),
        })
    }

    /// Whether a byte on disk is a byte of the text.
    pub(crate) fn is_plain(&self) -> bool {
        self.encoding == encoding_rs::UTF_8
    }
}

/// A batch, ready to be published.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) planned: Planned,
    pub(crate) frames: u32,
    pub(crate) payload: Vec<u8>,
}

/// What may be taken for complete at the end of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AtEnd {
    /// Nothing: more may follow.
    Wait,
    /// The event under way, but not a line without its end.
    CompleteEvent,
    /// Everything: the file is complete.
    CompleteFile,
}

/// One file that is read.
#[derive(Debug)]
pub(crate) struct Reader {
    plan: Arc<Plan>,
    peer: String,
    source: Source,
    lines: LineDecoder,
    joiner: Option<Joiner>,
    piece: Vec<u8>,
    /// How much of `piece` is dealt with.
    at: usize,
    /// The byte after the last line that was taken.
    position: u64,
    /// The byte after the last event that went into a batch.
    done_to: u64,
    pub(crate) cut_lines: u64,
    pub(crate) bytes_read: u64,
    pub(crate) lines_read: u64,
}

/// Why a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Full,
    /// There is nothing more to read now.
    End,
}

impl Reader {
    /// Reads `file` from `done_to` on. Blocks, like all that reads.
    pub(crate) fn open(plan: Arc<Plan>, peer: String, file: File, done_to: u64) -> io::Result<Self> {
        let source = Source::open(file, plan.encoding)?;
        Self::new(plan, peer, source, done_to)
    }

    fn new(plan: Arc<Plan>, peer: String, mut source: Source, done_to: u64) -> io::Result<Self> {
        let piece = source.skip(done_to)?;
        Ok(Self {
            lines: LineDecoder::new(plan.frame_bytes_max),
            joiner: plan.joining.as_ref().map(|rule| Joiner::new(Arc::clone(rule))),
            plan,
            peer,
            source,
            piece,
            at: 0,
            position: done_to,
            done_to,
            cut_lines: 0,
            bytes_read: 0,
            lines_read: 0,
        })
    }

    /// The next batch, and whether there is more to read now. Without a batch there is nothing more.
    ///
    /// A `planned` batch is the same as when it was planned.
    pub(crate) fn next(
        &mut self,
        planned: Option<Planned>,
        at_end: AtEnd,
    ) -> io::Result<(Option<Batch>, bool)> {
        let (id, received_at) = match planned {
            Some(planned) => (planned.batch, planned.received_at),
            None => (BatchId::mint(), Timestamp::now()),
        };
        let start = self.done_to;
        let mut filling = Filling {
            builder: RawBatchBuilder::new(id, &self.plan.listener),
            received_at,
            stop_at: planned.map(|planned| planned.stop),
        };
        let stop = self.fill(&mut filling, at_end);
        // What was read before a file turned out to be damaged is as good as any.
        let has_more = match stop {
            Ok(stop) => stop == Stop::Full,
            Err(error) if filling.builder.frames() == 0 => return Err(error),
            Err(_) => true,
        };
        let batch = (filling.builder.frames() > 0).then(|| Batch {
            planned: Planned {
                start,
                stop: self.done_to,
                batch: id,
                received_at,
            },
            frames: filling.builder.frames(),
            payload: filling.builder.finish(self.plan.compression),
        });
        Ok((batch, has_more))
    }

    /// The byte after the last event that went into a batch.
    pub(crate) const fn done_to(&self) -> u64 {
        self.done_to
    }

    /// Whether an event may be complete when nothing more comes.
    pub(crate) fn has_open_event(&self) -> bool {
        self.joiner.as_ref().is_some_and(Joiner::is_open)
    }

    /// Whether anything is under way.
    pub(crate) fn has_rest(&self) -> bool {
        self.has_open_event() || self.lines.under_way() > 0
    }

    /// Whether bytes did not fit the encoding.
    pub(crate) fn has_encoding_errors(&self) -> bool {
        self.source.has_encoding_errors()
    }

    fn fill(&mut self, filling: &mut Filling, at_end: AtEnd) -> io::Result<Stop> {
        let mut is_over = false;
        loop {
            if filling.stop_at.is_some_and(|stop| self.position >= stop) {
                self.complete_event(filling);
                return Ok(Stop::Full);
            }
            let mut rest = self.piece.get(self.at..).unwrap_or_default();
            if let Some(line) = self.lines.next_line(&mut rest) {
                self.position += line.size;
                self.at = self.piece.len() - rest.len();
                let is_full = take(
                    line.frame,
                    (self.joiner.as_mut(), &self.peer, &self.plan),
                    filling,
                    (&mut self.done_to, self.position - line.size, self.position),
                    &mut self.cut_lines,
                );
                self.lines_read += 1;
                if is_full {
                    return Ok(Stop::Full);
                }
                continue;
            }
            self.at = 0;
            let read = match self.source.read(&mut self.piece) {
                Ok(read) => read,
                // Once: then what the damaged file holds is under way no more.
                Err(error) if at_end == AtEnd::CompleteFile && self.has_rest() => {
                    self.complete_file(filling);
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            self.bytes_read += u64::try_from(read).unwrap_or(u64::MAX);
            if read > 0 {
                continue;
            }
            if at_end == AtEnd::CompleteFile && !is_over {
                is_over = true;
                self.source.finish(&mut self.piece);
                continue;
            }
            match at_end {
                AtEnd::Wait => {}
                AtEnd::CompleteEvent => self.complete_event(filling),
                AtEnd::CompleteFile => self.complete_file(filling),
            }
            return Ok(Stop::End);
        }
    }

    fn complete_file(&mut self, filling: &mut Filling) {
        if let Some(line) = self.lines.finish() {
            self.position += line.size;
            self.lines_read += 1;
            take(
                line.frame,
                (self.joiner.as_mut(), &self.peer, &self.plan),
                filling,
                (&mut self.done_to, self.position - line.size, self.position),
                &mut self.cut_lines,
            );
        }
        // It is given and not under way any more.
        self.lines = LineDecoder::new(self.plan.frame_bytes_max);
        self.complete_event(filling);
    }

    fn complete_event(&mut self, filling: &mut Filling) {
        if let Some(joiner) = &mut self.joiner
            && joiner.finish()
        {
            filling.push(&self.peer, joiner.complete(), &self.plan);
            self.done_to = self.position;
        }
    }
}

/// A batch that is being filled.
struct Filling {
    builder: RawBatchBuilder,
    received_at: Timestamp,
    /// Where a batch ends that was planned before.
    stop_at: Option<u64>,
}

impl Filling {
    /// True when the batch is full with it. Empty lines are no events.
    fn push(&mut self, peer: &str, frame: Frame<'_>, plan: &Plan) -> bool {
        if frame.bytes.is_empty() {
            return false;
        }
        self.builder
            .push(self.received_at, peer, None, frame.defects, frame.bytes);
        // Full when another frame like this one would be too much.
        self.stop_at.is_none()
            && (self.builder.size() + frame.bytes.len() + FRAME_OVERHEAD_BYTES > plan.batch_bytes_max
                || self.builder.frames() >= plan.batch_frames_max)
    }
}

/// Takes a line from `start` to `stop`; true when the batch is full. Moves `done_to` behind the last event that
/// is in a batch.
fn take(
    line: Frame<'_>,
    (joiner, peer, plan): (Option<&mut Joiner>, &str, &Plan),
    filling: &mut Filling,
    (done_to, start, stop): (&mut u64, u64, u64),
    cut_lines: &mut u64,
) -> bool {
    *cut_lines += u64::from(line.defects.contains(FrameDefects::TRUNCATED));
    let Some(joiner) = joiner else {
        *done_to = stop;
        return filling.push(peer, line, plan);
    };
    if joiner.push(line) {
        *done_to = start;
        return filling.push(peer, joiner.complete(), plan);
    }
    false
}

#[cfg(test)]
mod tests;
