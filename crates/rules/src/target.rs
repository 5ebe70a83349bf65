//! An event as the thing that a VRL program runs on.

use std::{cell::OnceCell, time::Duration};

use event::Event;
use vrl::{
    compiler::{SecretTarget, Target},
    path::{OwnedTargetPath, PathPrefix},
    value::{ObjectMap, Value},
};

use crate::{
    convert,
    functions::{DROP, ROUTE},
    schema::Field,
    slots::{Layout, Place, Rest, Slots},
};

/// What makes a program fail beside VRL's own run-time errors. The texts hold no content of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("`.{0}` cannot be changed")]
    ReadOnly(&'static str),
    #[error("an event has no such field; free fields are under `.fields`")]
    UnknownField,
    #[error("`.` was set to something that is not an object")]
    NotAnObject,
    #[error("`.{field}` was set to a value that is not {expected}")]
    WrongType {
        field: &'static str,
        expected: &'static str,
    },
    #[error("`.{0}` is nested too deep")]
    TooDeep(&'static str),
    #[error("the program wrote more than {0} bytes")]
    TooLarge(usize),
    #[error("more than {0} tags")]
    TooManyTags(usize),
    #[error("the program took more than {0} steps")]
    TooManySteps(u32),
    #[error("the program took longer than {0:?}")]
    TooSlow(Duration),
    #[error("a function panicked")]
    Panicked,
}

/// What our functions ordered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    pub(crate) route: Option<Value>,
    pub(crate) drop: Option<Value>,
}

/// One event, while one program runs on it.
#[derive(Debug)]
pub(crate) struct EventTarget<'r, 'e> {
    layout: &'r Layout,
    event: &'r Event<'e>,
    slots: &'r mut Slots,
    orders: &'r mut Orders,
    /// All slots as one object, from the first read of `.` to the next write.
    root: OnceCell<Value>,
    /// The first thing that was not allowed. VRL ignores what a target answers to an assignment, so the program
    /// runs on, and fails at its end.
    fault: Option<Fault>,
}

/// What `.` is for a chain in which no program asks; VRL asks before every run whether there is a `.`.
static UNASKED_ROOT: Value = Value::Object(ObjectMap::new());

impl<'r, 'e> EventTarget<'r, 'e> {
    pub(crate) fn new(
        layout: &'r Layout,
        event: &'r Event<'e>,
        slots: &'r mut Slots,
        orders: &'r mut Orders,
    ) -> Self {
        Self {
            layout,
            event,
            slots,
            orders,
            root: OnceCell::new(),
            fault: None,
        }
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn refuse(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn slot(&self, index: usize) -> Option<&Value> {
        let (layout, event) = (self.layout, self.event);
        self.slots.get(index, || convert::read(layout, event, index))
    }

    fn assembled_root(&self) -> &Value {
        self.root.get_or_init(|| {
            let fields = Field::ALL.into_iter().filter_map(|field| {
                let value = self.slot(field.index())?;
                Some((field.name().into(), value.clone()))
            });
            Value::Object(fields.collect())
        })
    }

    /// Opens a slot for writing, or says why not.
    fn open(&mut self, index: usize) -> Option<&mut Option<Value>> {
        if let Some(field) = Field::ALL.get(index).filter(|field| field.is_read_only()) {
            self.refuse(Fault::ReadOnly(field.name()));
            return None;
        }
        self.root.take();
        self.slots.write(index)
    }

    fn set(&mut self, index: usize, rest: Rest<'_>, value: Value) {
        if rest.0.is_empty() {
            if let Some(slot) = self.open(index) {
                *slot = Some(value);
            }
            return;
        }
        // The rest of what is there stays, so it must be there.
        self.slot(index);
        if let Some(slot) = self.open(index) {
            slot.get_or_insert(Value::Null).insert(rest, value);
        }
    }

    fn set_root(&mut self, value: Value) {
        let Value::Object(mut entries) = value else {
            return self.refuse(Fault::NotAnObject);
        };
        for field in Field::ALL {
            let new = entries.remove(field.name());
            let is_same = new.as_ref() == self.slot(field.index());
            // What cannot be changed is not lost either when a program builds a new object.
            if !is_same
                && (new.is_some() || !field.is_read_only())
                && let Some(slot) = self.open(field.index())
            {
                *slot = new;
            }
        }
        if !entries.is_empty() {
            self.refuse(Fault::UnknownField);
        }
    }

    fn remove(&mut self, index: usize, rest: Rest<'_>, compact: bool) -> Option<Value> {
        self.slot(index)?.get(rest)?;
        let slot = self.open(index)?;
        if rest.0.is_empty() {
            return slot.take();
        }
        let removed = slot.as_mut()?.remove(rest, compact);
        if compact && matches!(slot, Some(Value::Object(left)) if left.is_empty()) {
            *slot = None;
        }
        removed
    }
}

impl Target for EventTarget<'_, '_> {
    fn target_insert(&mut self, path: &OwnedTargetPath, value: Value) -> Result<(), String> {
        if path.prefix == PathPrefix::Metadata {
            if *path == *ROUTE {
                self.orders.route = Some(value);
            } else if *path == *DROP {
                self.orders.drop = Some(value);
            }
            return Ok(());
        }
        match self.layout.locate(path) {
            Place::Root => self.set_root(value),
            Place::Slot { index, rest } => self.set(index, rest, value),
            Place::Nowhere => self.refuse(Fault::UnknownField),
        }
        Ok(())
    }

    fn target_get(&self, path: &OwnedTargetPath) -> Result<Option<&Value>, String> {
        if path.prefix == PathPrefix::Metadata {
            return Ok(None);
        }
        Ok(match self.layout.locate(path) {
            Place::Root if self.layout.reads_root => Some(self.assembled_root()),
            Place::Root => Some(&UNASKED_ROOT),
            Place::Slot { index, rest } if rest.0.is_empty() => self.slot(index),
            Place::Slot { index, rest } => self.slot(index).and_then(|value| value.get(rest)),
            Place::Nowhere => None,
        })
    }

    fn target_get_mut(&mut self, path: &OwnedTargetPath) -> Result<Option<&mut Value>, String> {
        let Place::Slot { index, rest } = self.layout.locate(path) else {
            return Err("only a field can be changed in place".to_owned());
        };
        if path.prefix == PathPrefix::Metadata || self.slot(index).is_none() {
            return Ok(None);
        }
        let value = self.open(index).and_then(Option::as_mut);
        Ok(value.and_then(|value| value.get_mut(rest)))
    }

    fn target_remove(&mut self, path: &OwnedTargetPath, compact: bool) -> Result<Option<Value>, String> {
        if path.prefix == PathPrefix::Metadata {
            return Ok(None);
        }
        Ok(match self.layout.locate(path) {
            Place::Root => {
                let old = self.assembled_root().clone();
                self.set_root(Value::Object(ObjectMap::new()));
                Some(old)
            }
            Place::Slot { index, rest } => self.remove(index, rest, compact),
            Place::Nowhere => None,
        })
    }
}

/// Rules have no secrets.
impl SecretTarget for EventTarget<'_, '_> {
    fn get_secret(&self, _: &str) -> Option<&str> {
        None
    }

    fn insert_secret(&mut self, _: &str, _: &str) {}

    fn remove_secret(&mut self, _: &str) {}
}
