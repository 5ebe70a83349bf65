//! The parts of one event as VRL values, each turned into one only when a program asks for it.
//!
//! A slot is a name under `.`, or a name under `.fields` that programs write out, such as `.fields.user`; so a
//! program that sets one free field does not convert the others.

use std::cell::{Cell, OnceCell};

use vrl::{
    path::{BorrowedSegment, OwnedSegment, OwnedTargetPath, PathPrefix, ValuePath},
    value::{KeyString, Value},
};

use crate::schema::Field;

/// Slots at most: sets of them are one number.
const SLOTS_MAX: usize = u64::BITS as usize;

/// Which slots a chain has, worked out once from the paths in its programs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// Names under `.fields` with slots of their own, behind those of [`Field::ALL`].
    named: Vec<KeyString>,
    /// Some program reads `.` itself.
    pub(crate) reads_root: bool,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'p> {
    /// `.`
    Root,
    /// Into a slot, and `rest` within it.
    Slot {
        /// The slot.
        index: usize,
        /// What follows.
        rest: Rest<'p>,
    },
    /// To nothing that an event has.
    Nowhere,
}

/// The end of a path, within a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest<'p>(pub(crate) &'p [OwnedSegment]);

impl<'p> ValuePath<'p> for Rest<'p> {
    type Iter =
        std::iter::Map<std::slice::Iter<'p, OwnedSegment>, fn(&'p OwnedSegment) -> BorrowedSegment<'p>>;

    fn segment_iter(&self) -> Self::Iter {
        self.0.iter().map(BorrowedSegment::from)
    }
}

impl Layout {
    /// The slots for programs that use these paths.
    pub(crate) fn new<'p>(paths: impl Iterator<Item = &'p OwnedTargetPath>) -> Self {
        let mut layout = Self::default();
        let mut needs_all_fields = false;
        for path in paths.filter(|path| path.prefix == PathPrefix::Event) {
            match path.path.segments.as_slice() {
                [] => layout.reads_root = true,
                [OwnedSegment::Field(field), rest @ ..] if field.as_str() == Field::Fields.name() => {
                    match rest {
                        [OwnedSegment::Field(name), ..] if layout.named.contains(name) => {}
                        [OwnedSegment::Field(name), ..] => layout.named.push(name.clone()),
                        [] | [OwnedSegment::Index(_), ..] => needs_all_fields = true,
                    }
                }
                _ => {}
            }
        }
        if layout.reads_root || needs_all_fields || Field::ALL.len() + layout.named.len() > SLOTS_MAX {
            layout.named.clear();
        }
        layout
    }

    pub(crate) fn len(&self) -> usize {
        Field::ALL.len() + self.named.len()
    }

    /// The name under `.fields` of a slot behind those of [`Field::ALL`].
    pub(crate) fn name_of(&self, index: usize) -> Option<&str> {
        self.named
            .get(index.checked_sub(Field::ALL.len())?)
            .map(KeyString::as_str)
    }

    pub(crate) fn locate<'p>(&self, path: &'p OwnedTargetPath) -> Place<'p> {
        let (field, rest) = match path.path.segments.as_slice() {
            [] => return Place::Root,
            [OwnedSegment::Field(name), rest @ ..] => match Field::from_name(name) {
                Some(field) => (field, rest),
                None => return Place::Nowhere,
            },
            [OwnedSegment::Index(_), ..] => return Place::Nowhere,
        };
        if field == Field::Fields
            && let [OwnedSegment::Field(name), rest @ ..] = rest
            && let Some(at) = self.named.iter().position(|known| known == name)
        {
            let index = Field::ALL.len() + at;
            return Place::Slot {
                index,
                rest: Rest(rest),
            };
        }
        Place::Slot {
            index: field.index(),
            rest: Rest(rest),
        }
    }
}

/// A set of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Set(u64);

impl Set {
    fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    pub(crate) fn contains(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// The slots in the set, in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = usize::try_from(rest.trailing_zeros()).ok()?;
            rest &= rest.checked_sub(1)?;
            Some(index)
        })
    }
}

/// The slots of one event after the other. `None` in a slot is an absent field.
#[derive(Debug)]
pub(crate) struct Slots {
    values: Vec<OnceCell<Option<Value>>>,
    /// Slots that hold something.
    filled: Cell<Set>,
    /// Slots that programs before this one wrote.
    committed: Set,
    /// Slots that this program wrote.
    written: Set,
    /// What this program found in slots that programs before it wrote. Others are converted again.
    found: Vec<(usize, Option<Value>)>,
    /// Conversions since the slots were made.
    #[cfg(test)]
    pub(crate) conversions: Cell<u64>,
}

impl Slots {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            values: (0..layout.len()).map(|_| OnceCell::new()).collect(),
            filled: Cell::default(),
            committed: Set::default(),
            written: Set::default(),
            found: Vec::new(),
            #[cfg(test)]
            conversions: Cell::default(),
        }
    }

    /// Ready for the next event.
    pub(crate) fn reset(&mut self) {
        for index in self.filled.take().iter() {
            if let Some(slot) = self.values.get_mut(index) {
                slot.take();
            }
        }
        self.committed = Set::default();
        self.begin();
    }

    /// Ready for the next program on the same event.
    pub(crate) fn begin(&mut self) {
        self.written = Set::default();
        self.found.clear();
    }

    /// Slots written by the programs that succeeded.
    pub(crate) fn committed(&self) -> Set {
        self.committed
    }

    /// Slots written by the program that runs.
    pub(crate) fn written(&self) -> Set {
        self.written
    }

    /// What is in a slot, converted now if it was not before.
    pub(crate) fn get(&self, index: usize, convert: impl FnOnce() -> Option<Value>) -> Option<&Value> {
        let slot = self.values.get(index)?;
        slot.get_or_init(|| {
            self.filled.set(self.filled.get().with(index));
            #[cfg(test)]
            self.conversions.set(self.conversions.get() + 1);
            convert()
        })
        .as_ref()
    }

    /// What is in a slot, if it was converted.
    pub(crate) fn converted(&self, index: usize) -> Option<&Value> {
        self.values.get(index)?.get()?.as_ref()
    }

    /// A slot to write to; what was in it stays until it is overwritten, but is not converted for this.
    pub(crate) fn write(&mut self, index: usize) -> Option<&mut Option<Value>> {
        let slot = self.values.get_mut(index)?;
        if self.committed.contains(index) && !self.written.contains(index) {
            self.found.push((index, slot.get().cloned().flatten()));
        }
        self.written = self.written.with(index);
        self.filled.set(self.filled.get().with(index));
        slot.get_or_init(|| None);
        slot.get_mut()
    }

    /// A written slot, to bring its value into the form that a field has.
    pub(crate) fn written_mut(&mut self, index: usize) -> Option<&mut Option<Value>> {
        self.values.get_mut(index)?.get_mut()
    }

    /// Keeps what the program wrote.
    pub(crate) fn commit(&mut self) {
        self.committed = Set(self.committed.0 | self.written.0);
        self.begin();
    }

    /// Forgets what the program wrote.
    pub(crate) fn roll_back(&mut self) {
        for index in self.written.iter() {
            if let Some(slot) = self.values.get_mut(index) {
                slot.take();
            }
        }
        for (index, value) in self.found.drain(..) {
            if let Some(slot) = self.values.get(index) {
                slot.get_or_init(|| value);
            }
        }
        self.begin();
    }

    /// Converts this slot again when it is next asked for.
    pub(crate) fn forget(&mut self, index: usize) {
        if let Some(slot) = self.values.get_mut(index) {
            slot.take();
        }
    }
}
