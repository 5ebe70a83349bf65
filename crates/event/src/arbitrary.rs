//! Events and frames for property tests.

use std::borrow::Cow;

use proptest::{collection::vec, option, prelude::*};

use crate::{
    BatchId, Defects, Event, EventId, EventTime, Facility, FrameDefects, SdElement, SdParam, Severity,
    Timestamp, Value,
};

/// Instants whose year has four digits in every zone.
fn micros() -> impl Strategy<Value = i64> {
    prop_oneof![
        -62_167_000_000_000_000_i64..253_402_200_000_000_000,
        // The time that logs are from.
        1_000_000_000_000_000_i64..2_000_000_000_000_000,
    ]
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    micros().prop_map(Timestamp::from_micros)
}

/// With no more of a fraction than its digits say.
pub(crate) fn event_time() -> impl Strategy<Value = EventTime> {
    (micros(), option::of(-1439..=1439_i16), 0..=6_u8).prop_map(
        |(micros, offset_minutes, fraction_digits)| {
            let unit = 10_i64.pow(6 - u32::from(fraction_digits));
            EventTime {
                at: Timestamp::from_micros(micros - micros.rem_euclid(unit)),
                offset_minutes,
                fraction_digits,
            }
        },
    )
}

fn text(pattern: &'static str) -> impl Strategy<Value = Cow<'static, str>> {
    pattern.prop_map(Cow::Owned)
}

fn structured_data() -> impl Strategy<Value = Vec<SdElement<'static>>> {
    const NAME: &str = r##"[!#-<>-\\^-~]{1,32}"##;
    let param = (text(NAME), text(r#"([ -~]|["\\\]]|[\PC&&[^\x00]]){0,20}"#));
    let params = vec(param.prop_map(|(name, value)| SdParam { name, value }), 0..4);
    vec(
        (text(NAME), params).prop_map(|(id, params)| SdElement { id, params }),
        0..4,
    )
}

/// What a valid RFC 5424 message can say, received by nobody in particular.
pub(crate) fn rfc_5424_event() -> impl Strategy<Value = Event<'static>> {
    let header = (
        (0..24_u8, 0..8_u8),
        option::of(event_time()),
        option::of(text("[!-~]{1,255}")),
        option::of(text("[!-~]{1,48}")),
        option::of(text("[!-~]{1,128}")),
        option::of(text("[!-~]{1,32}")),
    );
    // Line ends at the end are the framing's, NUL is replaced, and a mark at the front is no text.
    let message = text(r"[\PC\t\r\n&&[^\ufeff]]{0,60}[\PC&&[^\ufeff]]");
    (header, structured_data(), option::of(message), any::<bool>()).prop_map(
        |((priority, timestamp, hostname, app_name, procid, msgid), structured_data, message, has_bom)| {
            let id = EventId::derive(
                BatchId::from_uuid(uuid::Uuid::nil()),
                0,
                Timestamp::from_micros(0),
            );
            let present = |text: Option<Cow<'static, str>>| text.filter(|text| text != "-");
            Event {
                facility: Facility::new(priority.0),
                severity: Severity::new(priority.1),
                timestamp,
                hostname: present(hostname),
                app_name: present(app_name),
                procid: present(procid),
                msgid: present(msgid),
                structured_data,
                message,
                has_bom,
                ..Event::received(id, 0, Timestamp::from_micros(0), "", "")
            }
        },
    )
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        (-200..200_i64).prop_map(Value::Integer),
        (u64::MAX / 2 + 1..).prop_map(Value::Unsigned),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(Value::Float),
        text(".{0,40}").prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec((text(".{0,8}"), inner), 0..5).prop_map(Value::Object),
        ]
    })
}

/// Any event of the raw batch `source`, taken by `listener`.
pub(crate) fn event(source: BatchId, listener: &'static str) -> impl Strategy<Value = Event<'static>> {
    let ours = (
        0..EventId::POSITIONS_MAX,
        timestamp(),
        text("[0-9.:]{0,20}"),
        option::of(text("[a-z.]{0,20}")),
        option::of(vec(any::<u8>(), 0..80)),
        vec(text(".{0,10}"), 0..3),
        vec((text(".{0,10}"), value()), 0..4),
        any::<u32>(),
    );
    (rfc_5424_event(), ours).prop_map(
        move |(event, (position, received_at, peer_addr, tls_peer, raw, tags, fields, defects))| Event {
            id: EventId::derive(source, position, received_at),
            position,
            received_at,
            peer_addr,
            tls_peer,
            listener: Cow::Borrowed(listener),
            raw: raw.map(Cow::Owned),
            tags,
            fields,
            defects: Defects::from_bits_truncate(defects),
            ..event
        },
    )
}

/// What a listener pushes to a raw batch.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) received_at: Timestamp,
    pub(crate) peer_addr: String,
    pub(crate) tls_peer: Option<String>,
    pub(crate) defects: FrameDefects,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn received() -> impl Strategy<Value = Received> {
    // Few peers, so that they repeat.
    (
        timestamp(),
        "[a-c]{0,1}",
        option::of("[a-b]{0,1}"),
        0..4_u8,
        vec(any::<u8>(), 0..60),
    )
        .prop_map(|(received_at, peer_addr, tls_peer, defects, bytes)| Received {
            received_at,
            peer_addr,
            tls_peer,
            defects: FrameDefects::from_bits_truncate(defects),
            bytes,
        })
}
