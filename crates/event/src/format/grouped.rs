//! Structured data as objects: repeated names become lists, in time linear in their number.

use std::collections::HashMap;

use crate::event::SdElement;

/// Up to here looking at each is quicker than a table.
const LINEAR_MAX: usize = 16;

/// Names, each once, in the order in which they first came.
#[derive(Debug)]
pub(super) struct Grouped<'e, T> {
    entries: Vec<(&'e str, T)>,
    index: HashMap<&'e str, usize>,
}

/// Parameters of one SD-ID and their values.
pub(super) type Params<'e> = Grouped<'e, Vec<&'e str>>;

impl<'e, T> Default for Grouped<'e, T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<'e, T: Default> Grouped<'e, T> {
    fn entry(&mut self, name: &'e str) -> &mut T {
        if self.entries.len() == LINEAR_MAX && self.index.is_empty() {
            self.index
                .extend(self.entries.iter().enumerate().map(|(at, (name, _))| (*name, at)));
        }
        let found = if self.index.is_empty() {
            self.entries.iter().position(|(known, _)| *known == name)
        } else {
            self.index.get(name).copied()
        };
        let at = found.unwrap_or(self.entries.len());
        if found.is_none() {
            if !self.index.is_empty() {
                self.index.insert(name, at);
            }
            self.entries.push((name, T::default()));
        }
        let entry = self.entries.get_mut(at);
        &mut entry.expect("found or just pushed").1
    }

    /// How many names.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(&'e str, T)> {
        self.entries.iter()
    }
}

/// SD-ID → parameter → values. An SD-ID that stands twice (which RFC 5424 forbids) is one object.
pub(super) fn group<'e>(elements: &'e [SdElement<'_>]) -> Grouped<'e, Params<'e>> {
    let mut ids = Grouped::<Params<'e>>::default();
    for element in elements {
        let params = ids.entry(&element.id);
        for param in &element.params {
            params.entry(&param.name).push(&param.value);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SdParam;

    #[test]
    fn names_stand_once_however_many_there_are() {
        let names: Vec<String> = (0..3 * LINEAR_MAX).map(|number| format!("n{number}")).collect();
        let params = |value: &'static str| {
            names.iter().map(move |name| SdParam {
                name: name.as_str().into(),
                value: value.into(),
            })
        };
        let elements = [
            SdElement {
                id: "a".into(),
                params: params("1").collect(),
            },
            SdElement {
                id: "b".into(),
                params: Vec::new(),
            },
            SdElement {
                id: "a".into(),
                params: params("2").collect(),
            },
        ];
        let grouped = group(&elements);
        let ids: Vec<_> = grouped.iter().map(|(id, params)| (*id, params.len())).collect();
        assert_eq!(ids, [("a", names.len()), ("b", 0)]);
        let (_, a) = grouped.iter().next().unwrap();
        for ((name, values), expected) in a.iter().zip(&names) {
            assert_eq!(
                (*name, values.as_slice()),
                (expected.as_str(), ["1", "2"].as_slice())
            );
        }
    }
}
