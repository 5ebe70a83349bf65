//! The event as programs see it: the names under `.`, their types, and which may be written.

use std::collections::BTreeMap;

use vrl::value::{
    Kind,
    kind::{Collection, Field as FieldName},
};

/// A name under `.`. The discriminant is the field's place in the table of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    ReceivedAt,
    PeerAddr,
    TlsPeer,
    Listener,
    Facility,
    Severity,
    Timestamp,
    Hostname,
    AppName,
    Procid,
    Msgid,
    StructuredData,
    Message,
    Raw,
    Tags,
    Fields,
    Defects,
}

impl Field {
    /// Every field, in the order of the discriminants.
    pub(crate) const ALL: [Self; 18] = [
        Self::Id,
        Self::ReceivedAt,
        Self::PeerAddr,
        Self::TlsPeer,
        Self::Listener,
        Self::Facility,
        Self::Severity,
        Self::Timestamp,
        Self::Hostname,
        Self::AppName,
        Self::Procid,
        Self::Msgid,
        Self::StructuredData,
        Self::Message,
        Self::Raw,
        Self::Tags,
        Self::Fields,
        Self::Defects,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::ReceivedAt => "received_at",
            Self::PeerAddr => "peer_addr",
            Self::TlsPeer => "tls_peer",
            Self::Listener => "listener",
            Self::Facility => "facility",
            Self::Severity => "severity",
            Self::Timestamp => "timestamp",
            Self::Hostname => "hostname",
            Self::AppName => "app_name",
            Self::Procid => "procid",
            Self::Msgid => "msgid",
            Self::StructuredData => "structured_data",
            Self::Message => "message",
            Self::Raw => "raw",
            Self::Tags => "tags",
            Self::Fields => "fields",
            Self::Defects => "defects",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        // A match on the text compiles to a comparison of the length and then of few candidates.
        Some(match name {
            "id" => Self::Id,
            "received_at" => Self::ReceivedAt,
            "peer_addr" => Self::PeerAddr,
            "tls_peer" => Self::TlsPeer,
            "listener" => Self::Listener,
            "facility" => Self::Facility,
            "severity" => Self::Severity,
            "timestamp" => Self::Timestamp,
            "hostname" => Self::Hostname,
            "app_name" => Self::AppName,
            "procid" => Self::Procid,
            "msgid" => Self::Msgid,
            "structured_data" => Self::StructuredData,
            "message" => Self::Message,
            "raw" => Self::Raw,
            "tags" => Self::Tags,
            "fields" => Self::Fields,
            "defects" => Self::Defects,
            _ => return None,
        })
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// What intake knows of its own knowledge is not for rules to change: where the event came from, when, and
    /// what was wrong with it.
    pub(crate) const fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::Id | Self::ReceivedAt | Self::PeerAddr | Self::TlsPeer | Self::Listener | Self::Defects
        )
    }

    /// What a program finds there; `undefined` where the field may be absent.
    fn readable(self) -> Kind {
        match self {
            Self::Id | Self::PeerAddr | Self::Listener => Kind::bytes(),
            Self::ReceivedAt => Kind::timestamp(),
            Self::Timestamp => Kind::timestamp().or_undefined(),
            Self::TlsPeer
            | Self::Facility
            | Self::Severity
            | Self::Hostname
            | Self::AppName
            | Self::Procid
            | Self::Msgid
            | Self::Message
            | Self::Raw => Kind::bytes().or_undefined(),
            Self::Tags | Self::Defects => Kind::array(Collection::from_unknown(Kind::bytes())),
            Self::StructuredData => Kind::object(Collection::from_unknown(structured_data_element())),
            Self::Fields => Kind::object(Collection::any()),
        }
    }

    /// What a program may leave there.
    pub(crate) fn writable(self) -> Kind {
        match self {
            Self::Facility | Self::Severity => Kind::bytes().or_integer().or_null().or_undefined(),
            // The exact bytes as received can be deleted and not be replaced.
            Self::Raw => Kind::null().or_undefined().or_bytes(),
            Self::Tags => Kind::array(Collection::any()).or_null().or_undefined(),
            Self::StructuredData | Self::Fields => Kind::object(Collection::any()).or_null().or_undefined(),
            _ => self.readable().or_null().or_undefined(),
        }
    }
}

/// Parameter name to value, or to a list of values where the name is repeated.
fn structured_data_element() -> Kind {
    let value = Kind::bytes().or_array(Collection::from_unknown(Kind::bytes()));
    Kind::object(Collection::from_unknown(value))
}

/// The type of `.` before a program runs.
pub(crate) fn event_kind() -> Kind {
    let known: BTreeMap<FieldName, Kind> = Field::ALL
        .into_iter()
        .map(|field| (field.name().into(), field.readable()))
        .collect();
    Kind::object(Collection::from_parts(known, Kind::undefined()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_agree() {
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field.index(), index);
            assert_eq!(Field::from_name(field.name()), Some(field));
        }
        assert_eq!(Field::from_name("nonsense"), None);
    }
}
