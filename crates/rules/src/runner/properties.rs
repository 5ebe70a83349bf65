//! Whatever is in `fields`, rules take it and give it back.

use std::{borrow::Cow, sync::LazyLock};

use event::{BatchId, EventBatch, EventBatchBuilder, EventId, Timestamp, Value as FieldValue};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{ProgramSource, RuleChain};

type Entries = Vec<(Cow<'static, str>, FieldValue<'static>)>;

fn value() -> impl Strategy<Value = FieldValue<'static>> {
    let leaf = prop_oneof![
        Just(FieldValue::Null),
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i64>().prop_map(FieldValue::Integer),
        (i64::MAX as u64 + 1..).prop_map(FieldValue::Unsigned),
        proptest::num::f64::NORMAL.prop_map(FieldValue::Float),
        ".{0,20}".prop_map(|text| FieldValue::String(Cow::Owned(text))),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(FieldValue::Array),
            entries(inner).prop_map(FieldValue::Object),
        ]
    })
}

/// With each name once.
fn entries(value: impl Strategy<Value = FieldValue<'static>>) -> impl Strategy<Value = Entries> {
    vec((".{0,8}", value), 0..6).prop_map(|entries| {
        let mut once: Entries = Vec::new();
        for (name, value) in entries {
            if once.iter().all(|(known, _)| *known != name) {
                once.push((Cow::Owned(name), value));
            }
        }
        once
    })
}

fn event(fields: Entries) -> Event<'static> {
    let received_at = Timestamp::from_micros(1_700_000_000_000_000);
    let id = EventId::derive(BatchId::from_uuid(Default::default()), 0, received_at);
    Event {
        fields,
        ..Event::received(id, 0, received_at, "192.0.2.1:514", "udp")
    }
}

fn compile(source: &str) -> RuleChain {
    let source = ProgramSource {
        name: "property",
        origin: "property.vrl",
        source,
    };
    RuleChain::compile(&[source]).unwrap()
}

/// Programs that end where they began.
static IDENTITIES: LazyLock<[RuleChain; 3]> = LazyLock::new(|| {
    [
        "f = .fields; .fields = {}; .fields = f",
        "e = .; del(.fields); . = e",
        "made = del(.fields.made); if made != null { .fields.made = made }",
    ]
    .map(compile)
});

static COPY: LazyLock<RuleChain> = LazyLock::new(|| compile(".fields = {\"copy\": .fields}"));

/// As VRL sees it: names in order, and no whole numbers above its own.
fn seen(value: &FieldValue<'_>) -> FieldValue<'static> {
    match value {
        FieldValue::Null => FieldValue::Null,
        FieldValue::Bool(value) => FieldValue::Bool(*value),
        FieldValue::Integer(value) => FieldValue::Integer(*value),
        FieldValue::Unsigned(value) => FieldValue::Float(*value as f64),
        FieldValue::Float(value) => FieldValue::Float(*value),
        FieldValue::String(text) => FieldValue::String(Cow::Owned(text.clone().into_owned())),
        FieldValue::Array(items) => FieldValue::Array(items.iter().map(seen).collect()),
        FieldValue::Object(entries) => {
            let mut entries: Entries = entries
                .iter()
                .map(|(name, value)| (Cow::Owned(name.clone().into_owned()), seen(value)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            FieldValue::Object(entries)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fields_that_stay_the_same_stay_exactly_the_same(fields in entries(value())) {
        let expected = event(fields);
        for chain in &*IDENTITIES {
            let mut runner = chain.runner();
            let mut event = expected.clone();
            runner.apply(&mut event);
            prop_assert_eq!(&event, &expected);
        }
    }

    #[test]
    fn fields_that_are_copied_survive_the_batch_encoding(fields in entries(value())) {
        let mut runner = COPY.runner();
        let mut event = event(fields);
        let expected = seen(&FieldValue::Object(event.fields.clone()));
        runner.apply(&mut event);
        let source = BatchId::mint();
        let mut builder = EventBatchBuilder::new(source, source, "udp", "default");
        builder.push(&event);
        let payload = builder.finish(event::Compression::None);
        let mut scratch = Vec::new();
        let mut batch = EventBatch::decode(&payload, &mut scratch, 1 << 20).unwrap();
        let read = batch.next_event().unwrap().unwrap();
        prop_assert_eq!(read.fields, vec![(Cow::Borrowed("copy"), expected)]);
    }
}
