//! What programs read and write of an event.

use super::*;

#[test]
fn built_in_fields_are_written() {
    check(&[r#".severity = "ERROR""#], |event| {
        event.severity = Severity::new(3)
    });
    check(&[".severity = 2"], |event| event.severity = Severity::new(2));
    check(&[r#".facility = "local3""#], |event| {
        event.facility = Facility::new(19)
    });
    check(&[r#".hostname = "a" + "b""#], |event| {
        event.hostname = Some(Cow::Borrowed("ab"))
    });
    check(&[r#".app_name = upcase(.app_name) ?? "x""#], |event| {
        event.app_name = Some(Cow::Borrowed("SSHD"))
    });
    check(&[r#".procid = "1"; .msgid = "ID47""#], |event| {
        event.procid = Some(Cow::Borrowed("1"));
        event.msgid = Some(Cow::Borrowed("ID47"));
    });
    check(&[".timestamp = t'2024-01-02T03:04:05Z'"], |event| {
        event.timestamp = Some(EventTime::utc(Timestamp::from_micros(1_704_164_645_000_000)));
    });
    check(&[".message = string!(.message) + s'!'"], |event| {
        event.message = Some(Cow::Borrowed("Accepted publickey for root!"));
    });
}

#[test]
fn a_time_that_stays_keeps_its_form() {
    check(&[".timestamp = .timestamp"], |_| {});
}

#[test]
fn what_is_deleted_null_or_empty_is_absent() {
    check(&["del(.hostname)"], |event| event.hostname = None);
    check(&[".hostname = null"], |event| event.hostname = None);
    check(&[r#".hostname = """#], |event| event.hostname = None);
    check(&["del(.severity); del(.facility); del(.timestamp)"], |event| {
        event.severity = None;
        event.facility = None;
        event.timestamp = None;
    });
    check(&["del(.raw)"], |event| event.raw = None);
    check(&["del(.tags)"], |event| event.tags.clear());
    check(&["del(.structured_data)"], |event| event.structured_data.clear());
    check(&["del(.fields)"], |event| event.fields.clear());
    check(&["del(.msgid)"], |_| {});
    check(&[".msgid = del(.hostname)"], |event| {
        event.msgid = event.hostname.take()
    });
}

#[test]
fn free_fields_are_written_one_by_one() {
    check(&[r#".fields.site = "north""#], |event| {
        event.fields.push(field("site", string("north")))
    });
    check(&[r#".fields.user = "wheel""#], |event| {
        event.fields[0].1 = string("wheel")
    });
    check(&["del(.fields.user)"], |event| drop(event.fields.remove(0)));
    check(&[".fields.http.status = 404; .fields.http.ok = false"], |event| {
        let entries = vec![
            field("ok", FieldValue::Bool(false)),
            field("status", FieldValue::Integer(404)),
        ];
        event.fields[2].1 = FieldValue::Object(entries);
    });
    check(&[".fields.new.a[1] = 1.5"], |event| {
        let list = FieldValue::Array(vec![FieldValue::Null, FieldValue::Float(1.5)]);
        event
            .fields
            .push(field("new", FieldValue::Object(vec![field("a", list)])));
    });
    check(&["del(.fields.http.status, compact: true)"], |event| {
        drop(event.fields.pop())
    });
    check(&["del(.fields.http.status)"], |event| {
        event.fields[2].1 = FieldValue::Object(vec![])
    });
    check(&[r#".fields."a b" = .received_at"#], |event| {
        event.fields.push(field("a b", string("2023-11-14T22:13:20Z")));
    });
}

#[test]
fn free_fields_are_written_as_a_whole() {
    check(&[r#".fields |= {"a": 1, "user": "x"}"#], |event| {
        event.fields[0].1 = string("x");
        event.fields.push(field("a", FieldValue::Integer(1)));
    });
    check(&[r#".fields = {"z": true, "big": .fields.big}"#], |event| {
        event.fields.remove(0);
        event.fields.remove(1);
        event.fields.push(field("z", FieldValue::Bool(true)));
    });
    check(
        &[r#".fields |= object!(parse_json!(s'{"k": [1, null, {"x": "y"}]}'))"#],
        |event| {
            let inner = FieldValue::Object(vec![field("x", string("y"))]);
            let list = FieldValue::Array(vec![FieldValue::Integer(1), FieldValue::Null, inner]);
            event.fields.push(field("k", list));
        },
    );
}

#[test]
fn structured_data_is_an_object_of_objects() {
    check(&[r#".structured_data.origin.software = "x""#], |event| {
        event.structured_data[0].params.push(SdParam {
            name: Cow::Borrowed("software"),
            value: Cow::Borrowed("x"),
        });
    });
    check(&["del(.structured_data.origin)"], |event| {
        drop(event.structured_data.remove(0))
    });
    check(&[r#".structured_data.origin.ip = "::1""#], |event| {
        event.structured_data[0].params.remove(1);
        event.structured_data[0].params[0].value = Cow::Borrowed("::1");
    });
    check(&[".fields.ip = .structured_data.origin.ip[1]"], |event| {
        event.fields.push(field("ip", string("192.0.2.2")));
    });
    check(&[r#".structured_data."a@1" = {}"#], |event| {
        event.structured_data.push(SdElement {
            id: Cow::Borrowed("a@1"),
            params: vec![],
        });
    });
}

#[test]
fn every_field_can_be_read() {
    check(
        &[r#".fields = {
            "a": .id, "b": .received_at, "c": .peer_addr, "d": .tls_peer, "e": .listener, "f": .facility,
            "g": .severity, "h": .timestamp, "i": .hostname, "j": .app_name, "k": .procid, "l": .msgid,
            "m": .message, "n": .raw, "o": .tags, "p": .defects, "q": .structured_data.meta, "r": .fields.big
        }"#],
        |event| {
            let id = event.id.to_string();
            let meta = FieldValue::Object(vec![field("sequenceId", string("1"))]);
            event.fields = vec![
                field("a", FieldValue::String(Cow::Owned(id))),
                field("b", string("2023-11-14T22:13:20Z")),
                field("c", string("192.0.2.9:40000")),
                field("d", FieldValue::Null),
                field("e", string("tcp")),
                field("f", string("auth")),
                field("g", string("info")),
                field("h", string("2003-10-11T22:14:15.003Z")),
                field("i", string("web1")),
                field("j", string("sshd")),
                field("k", string("4711")),
                field("l", FieldValue::Null),
                field("m", string("Accepted publickey for root")),
                field("n", string("<38>raw")),
                field("o", FieldValue::Array(vec![string("old")])),
                field("p", FieldValue::Array(vec![])),
                field("q", meta),
                field("r", FieldValue::Float(18_446_744_073_709_551_615.0)),
            ];
        },
    );
}

#[test]
fn the_whole_event_is_read_and_written() {
    check(&[r#".fields = {"n": length(.)}"#], |event| {
        event.fields = vec![field("n", FieldValue::Integer(16))];
    });
    check(&[". = ."], |_| {});
    check(&[r#". |= {"message": "m"}"#], |event| {
        event.message = Some(Cow::Borrowed("m"))
    });
    check(&[r#". = {"message": "m"}"#], |event| {
        *event = Event {
            message: Some(Cow::Borrowed("m")),
            ..Event::received(event.id, 3, event.received_at, "192.0.2.9:40000", "tcp")
        };
    });
    // A write between two reads of the whole is seen by the second.
    check(
        &[r#"a = .; .hostname = "h2"; b = .; .fields = {"a": a.hostname, "b": b.hostname}"#],
        |event| {
            event.hostname = Some(Cow::Borrowed("h2"));
            event.fields = vec![field("a", string("web1")), field("b", string("h2"))];
        },
    );
    check(&["del(.)"], |event| {
        *event = Event::received(event.id, 3, event.received_at, "192.0.2.9:40000", "tcp");
    });
}

#[test]
fn tags_are_added_once_and_taken_away() {
    check(&[r#"tag("a")"#], |event| event.tags.push(Cow::Borrowed("a")));
    check(&[r#"tag("old"); tag("old")"#], |_| {});
    check(&[r#"tag(["a", "old", "b", "a"])"#], |event| {
        event.tags.extend([Cow::Borrowed("a"), Cow::Borrowed("b")]);
    });
    check(&["tag!(.app_name)"], |event| {
        event.tags.push(Cow::Borrowed("sshd"))
    });
    check(&[r#"untag("old")"#], |event| event.tags.clear());
    check(&[r#"tag("a")"#, r#"untag(["old", "none"])"#], |event| {
        event.tags = vec![Cow::Borrowed("a")]
    });
    check(&[r#"if includes(.tags, "old") { .fields = {} }"#], |event| {
        event.fields.clear()
    });
    check(&[r#".tags = push(.tags, "x")"#], |event| {
        event.tags.push(Cow::Borrowed("x"))
    });
    fails("tag!(.msgid)", "a tag is");
    fails(r#".tags = ["a", 1]"#, "list of strings");
    fails(
        r#"for_each(range!(0, 100)) -> |_, n| { tag!("t" + to_string(n)) }"#,
        "more than 64 tags",
    );
}

/// How many values of the event were converted for it.
#[track_caller]
fn converts(programs: &[&str], conversions: u64) {
    let mut runner = chain(programs).runner();
    apply(&mut runner, sample());
    assert_eq!(runner.slots.conversions.get(), conversions, "{programs:?}");
}

#[test]
fn only_what_programs_touch_is_converted_and_once() {
    converts(&["true", "1 + 1"], 0);
    converts(&[r#".fields.site = "north""#, r#".hostname = "x""#], 0);
    converts(&[r#"if .severity == "debug" { drop("debug") }"#], 1);
    converts(
        &[
            ".fields.a = .severity",
            ".fields.b = .severity",
            ".fields.c = .fields.a",
        ],
        1,
    );
    converts(&[r#"if .severity == "debug" && .message == "x" { tag("t") }"#], 1);
    converts(&[r#".fields.a = .fields.user"#], 1);
    converts(&[r#".fields |= {"a": 1}"#, r#".fields.b = 2"#], 1);
    converts(&["a = .", "b = .", "c = .message"], 18);
    converts(&[r#"route("x")"#], 0);
    converts(&[r#"tag("x")"#, r#"tag("y")"#, r#"untag("x")"#], 1);
}

#[test]
fn what_a_failed_program_wrote_is_converted_again() {
    converts(
        &[r#".hostname = "x"; y = to_int!("no")"#, ".fields.h = .hostname"],
        1,
    );
}
