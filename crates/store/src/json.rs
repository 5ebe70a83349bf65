//! JSON text of structured data, tags and fields as the stores keep it: NUL characters, which neither JSONB nor
//! SQLite's text functions can hold, become U+2400. Reading it back is here too.

use std::{borrow::Cow, collections::HashMap, fmt};

use bytes::{BufMut, BytesMut};
use event::{SdElement, SdParam, Value};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// U+2400, SYMBOL FOR NULL: what stands where a NUL was.
const NUL_MARK: &str = "\u{2400}";

/// Writing to memory cannot fail.
const INFALLIBLE: &str = "a BytesMut takes any number of bytes";

/// The text without NUL characters.
pub(crate) fn without_nul(text: &str) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.replace('\0', NUL_MARK))
    }
}

/// Appends JSON to a buffer and remembers whether all of it went in as it was.
#[derive(Debug)]
pub(crate) struct JsonWriter<'a> {
    out: &'a mut BytesMut,
    is_exact: bool,
}

impl<'a> JsonWriter<'a> {
    pub(crate) const fn new(out: &'a mut BytesMut) -> Self {
        Self { out, is_exact: true }
    }

    /// True when nothing had to be replaced.
    pub(crate) const fn is_exact(&self) -> bool {
        self.is_exact
    }

    fn string(&mut self, text: &str) {
        let storable = without_nul(text);
        self.is_exact &= matches!(storable, Cow::Borrowed(_));
        serde_json::to_writer((&mut *self.out).writer(), &*storable).expect(INFALLIBLE);
    }

    fn scalar<T: serde::Serialize>(&mut self, value: T) {
        serde_json::to_writer((&mut *self.out).writer(), &value).expect(INFALLIBLE);
    }

    /// The items between `open` and `close`, with commas.
    fn list<T>(
        &mut self,
        brackets: [u8; 2],
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let [open, close] = brackets;
        self.out.put_u8(open);
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.put_u8(b',');
            }
            write(self, item);
        }
        self.out.put_u8(close);
    }

    /// An array of strings.
    pub(crate) fn strings<'s>(&mut self, items: impl Iterator<Item = &'s str>) {
        self.list(*b"[]", items, Self::string);
    }

    /// `fields`, or an object inside it.
    pub(crate) fn object(&mut self, entries: &[(Cow<'_, str>, Value<'_>)]) {
        self.list(*b"{}", entries.iter(), |writer, (name, value)| {
            writer.string(name);
            writer.out.put_u8(b':');
            writer.value(value);
        });
    }

    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.scalar(()),
            Value::Bool(value) => self.scalar(value),
            Value::Integer(value) => self.scalar(value),
            Value::Unsigned(value) => self.scalar(value),
            Value::Float(value) => self.scalar(value),
            Value::String(value) => self.string(value),
            Value::Array(items) => self.list(*b"[]", items.iter(), Self::value),
            Value::Object(entries) => self.object(entries),
        }
    }

    /// Structured data: SD-ID to an object of parameters; a name that stands more than once has a list.
    pub(crate) fn structured_data(&mut self, elements: &[SdElement<'_>]) {
        self.list(*b"{}", merged(elements).into_iter(), |writer, (id, params)| {
            writer.string(id);
            writer.out.put_u8(b':');
            writer.list(*b"{}", params.into_iter(), |writer, (name, values)| {
                writer.string(name);
                writer.out.put_u8(b':');
                match values.as_slice() {
                    [value] => writer.string(value),
                    values => writer.strings(values.iter().copied()),
                }
            });
        });
    }
}

type Grouped<'a, T> = Vec<(&'a str, Vec<T>)>;

/// Values by name, names in the order of their first appearance.
fn grouped<'a, T>(pairs: impl Iterator<Item = (&'a str, T)>) -> Grouped<'a, T> {
    let mut groups: Grouped<'a, T> = Vec::new();
    let mut index = HashMap::new();
    for (name, value) in pairs {
        let at = *index.entry(name).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, values)) => values.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    groups
}

/// Elements of the same SD-ID, which the RFC forbids and senders write, as one.
fn merged<'a>(elements: &'a [SdElement<'_>]) -> Vec<(&'a str, Grouped<'a, &'a str>)> {
    let params = |element: &'a SdElement<'_>| {
        element
            .params
            .iter()
            .map(|SdParam { name, value }| (&**name, &**value))
    };
    grouped(elements.iter().map(|element| (&*element.id, element)))
        .into_iter()
        .map(|(id, elements)| (id, grouped(elements.into_iter().flat_map(params))))
        .collect()
}

/// The names and values of a JSON object, in order; nothing for other JSON, which we do not write there.
pub(crate) fn read_fields(text: &str) -> Vec<(Cow<'static, str>, Value<'static>)> {
    match serde_json::from_str(text) {
        Ok(Stored(Value::Object(entries))) => entries,
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// The reverse of [`JsonWriter::structured_data`].
pub(crate) fn read_structured_data(text: &str) -> Vec<SdElement<'static>> {
    let element = |(id, params)| {
        let mut all = Vec::new();
        if let Value::Object(params) = params {
            for (name, value) in params {
                let values = match value {
                    Value::Array(values) => values,
                    value => vec![value],
                };
                for value in values {
                    if let Value::String(value) = value {
                        let name = name.clone();
                        all.push(SdParam { name, value });
                    }
                }
            }
        }
        SdElement { id, params: all }
    };
    read_fields(text).into_iter().map(element).collect()
}

/// The strings of a JSON array.
pub(crate) fn read_strings(text: &str) -> Vec<Cow<'static, str>> {
    let strings: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    strings.into_iter().map(Cow::Owned).collect()
}

/// A value as it is read back, names of objects in the order of the text.
struct Stored(Value<'static>);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StoredVisitor).map(Self)
    }
}

struct StoredVisitor;

impl<'de> Visitor<'de> for StoredVisitor {
    type Value = Value<'static>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Stored(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some((name, Stored(value))) = entries.next_entry::<String, _>()? {
            all.push((Cow::Owned(name), value));
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structured_data(
        elements: &[(&'static str, &[(&'static str, &'static str)])],
    ) -> Vec<SdElement<'static>> {
        let param = |(name, value): &(&'static str, &'static str)| SdParam {
            name: Cow::Borrowed(name),
            value: Cow::Borrowed(value),
        };
        let element = |(id, params): &(&'static str, &[(&'static str, &'static str)])| SdElement {
            id: Cow::Borrowed(id),
            params: params.iter().map(param).collect(),
        };
        elements.iter().map(element).collect()
    }

    #[test]
    fn structured_data_becomes_an_object_and_comes_back() {
        let elements = structured_data(&[("b", &[("x", "1"), ("y", "\"]\\"), ("x", "2")]), ("a", &[])]);
        let mut json = BytesMut::new();
        let mut writer = JsonWriter::new(&mut json);
        writer.structured_data(&elements);
        assert!(writer.is_exact());
        let text = std::str::from_utf8(&json).unwrap();
        assert_eq!(text, r#"{"b":{"x":["1","2"],"y":"\"]\\"},"a":{}}"#);
        let expected = structured_data(&[("b", &[("x", "1"), ("x", "2"), ("y", "\"]\\")]), ("a", &[])]);
        assert_eq!(read_structured_data(text), expected);
    }

    #[test]
    fn an_element_that_stands_twice_is_one() {
        let mut json = BytesMut::new();
        JsonWriter::new(&mut json)
            .structured_data(&structured_data(&[("a", &[("x", "1")]), ("a", &[("x", "2")])]));
        assert_eq!(&json[..], br#"{"a":{"x":["1","2"]}}"#);
    }

    #[test]
    fn fields_keep_their_order_and_numbers() {
        let text = r#"{"z":1,"a":18446744073709551615,"m":-1,"f":0.1,"n":null,"l":[true,{"k":"v"}]}"#;
        let fields = read_fields(text);
        let mut json = BytesMut::new();
        JsonWriter::new(&mut json).object(&fields);
        assert_eq!(std::str::from_utf8(&json).unwrap(), text);
        assert_eq!(read_fields("[1]"), []);
    }
}
