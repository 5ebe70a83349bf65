//! What no program may do.

use super::*;

#[test]
fn the_result_survives_the_batch_encoding() {
    let source = BatchId::mint();
    let mut runner = chain(&[
        r#".fields.deep = {"a": [{"b": [1, 2.5, true, null, "x"]}]}; tag("t"); .fields.bytes = decode_base64!("/w==")"#,
    ])
    .runner();
    let applied = apply(&mut runner, sample());
    let mut builder = EventBatchBuilder::new(source.derive("default"), source, "tcp", "default");
    builder.push(&applied.event);
    let payload = builder.finish(event::Compression::None);
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, 1 << 20).unwrap();
    let read = batch.next_event().unwrap().unwrap();
    assert_eq!(read.fields, applied.event.fields);
    assert_eq!(read.tags, applied.event.tags);
    let lossy = &read.fields.iter().find(|(name, _)| name == "bytes").unwrap().1;
    assert_eq!(*lossy, string("\u{fffd}"));
}

#[test]
fn values_as_deep_as_batches_allow_pass_and_deeper_ones_fail() {
    let nested = |levels: usize| format!(".fields.x = {}1{}", "[".repeat(levels), "]".repeat(levels));
    let mut runner = chain(&[&nested(FieldValue::DEPTH_MAX - 1)]).runner();
    let applied = apply(&mut runner, sample());
    let source = BatchId::mint();
    let mut builder = EventBatchBuilder::new(source, source, "tcp", "default");
    builder.push(&applied.event);
    let payload = builder.finish(event::Compression::None);
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, 1 << 20).unwrap();
    assert_eq!(batch.next_event().unwrap().unwrap().fields, applied.event.fields);
    fails(&nested(FieldValue::DEPTH_MAX), "nested too deep");
    let whole = format!(".fields = {{\"x\": {}1{}}}", "[".repeat(32), "]".repeat(32));
    fails(&whole, "nested too deep");
}

#[test]
fn hostile_programs_are_bounded() {
    // Steps, or on a slow machine time.
    fails(
        "for_each(range!(0, 100000)) -> |_, _| { x = 1 }",
        "the program took",
    );
    fails(
        "for_each(range!(0, 1000)) -> |_, _| { for_each(range!(0, 1000)) -> |_, _| { x = 1 } }",
        "the program took",
    );
    // Sizes: each step doubles.
    fails(
        r#"s = "0123456789abcdef"; for_each(range!(0, 17)) -> |_, _| { s = s + s }; .message = s"#,
        "more than 1048576 bytes",
    );
    fails(
        r#"s = "0123456789abcdef"; for_each(range!(0, 17)) -> |_, _| { s = s + s }; .fields.s = [s]"#,
        "more than 1048576 bytes",
    );
    fails(
        "a = range!(0, 100000); .fields.a = [a, a, a, a, a, a, a, a, a, a, a]",
        "more than 1048576 bytes",
    );
    // Depth.
    fails(
        r#"x = {}; for_each(range!(0, 100)) -> |_, _| { x = {"a": x} }; .fields.x = x"#,
        "nested too deep",
    );
}

#[test]
fn a_program_that_copies_more_and_more_is_stopped_by_the_clock() {
    let run = || {
        fails(
            r#"x = {}; for_each(range!(0, 20000)) -> |_, _| { x = {"a": x} }"#,
            "the program took longer than 1s",
        );
    };
    // Dropping what the program built up to then recurses.
    let thread = std::thread::Builder::new().stack_size(crate::STACK_BYTES);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn set_takes_paths_from_the_event_within_bounds() {
    check(
        &[".fields = set!(.fields, [string!(.app_name), \"n\", 1], true)"],
        |event| {
            let list = FieldValue::Array(vec![FieldValue::Null, FieldValue::Bool(true)]);
            event
                .fields
                .push(field("sshd", FieldValue::Object(vec![field("n", list)])));
        },
    );
    fails(
        ".fields = set!(.fields, [\"a\", 1000000000], 1)",
        "an index is at most 1000",
    );
    fails(
        ".fields = set!(.fields, [\"a\", -1000000000], 1)",
        "an index is at most 1000",
    );
    fails(
        r#".fields = set!(.fields, split("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", "."), 1)"#,
        "at most 32 parts",
    );
}
