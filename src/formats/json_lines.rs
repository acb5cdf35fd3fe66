//! NDJSON: an object a line, its fields shown one by one.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value that has no text, or one that is not sure to be what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuitable {
    /// A list or an object.
    Nested,
    /// A number with a fraction, an exponent or more than 64 bits: nobody knows with which digits it was written.
    Inexact,
}

/// The text of a field; `None` is null.
pub type FieldText<'t> = Result<Option<Cow<'t, str>>, Unsuitable>;

/// Shows the fields of the object on a line. Whole numbers and booleans come as text.
pub fn fields<'t>(line: &'t str, see: impl FnMut(&str, FieldText<'t>)) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(line);
    reader.deserialize_map(Fields(see))?;
    reader.end()
}

struct Fields<F>(F);

impl<'t, F: FnMut(&str, FieldText<'t>)> Visitor<'t> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(Ok(Some(name)))) = map.next_key_seed(TextSeed)? {
            let Text(value) = map.next_value_seed(TextSeed)?;
            (self.0)(&name, value);
        }
        Ok(())
    }
}

struct TextSeed;
struct Text<'t>(FieldText<'t>);

impl<'t> Text<'t> {
    fn of(text: impl Into<Cow<'t, str>>) -> Text<'t> {
        Text(Ok(Some(text.into())))
    }
}

impl<'t> DeserializeSeed<'t> for TextSeed {
    type Value = Text<'t>;

    fn deserialize<D: Deserializer<'t>>(self, reader: D) -> Result<Text<'t>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for TextSeed {
    type Value = Text<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false or null")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Text<'t>, E> {
        Ok(Text::of(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'t>, E> {
        Ok(Text::of(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Text<'t>, E> {
        Ok(Text::of(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Text<'t>, E> {
        Ok(Text::of(number.to_string()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Text<'t>, E> {
        Ok(Text(Err(Unsuitable::Inexact)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text<'t>, E> {
        Ok(Text::of(value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Text<'t>, E> {
        Ok(Text(Ok(None)))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Text<'t>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(Err(Unsuitable::Nested)))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Text<'t>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(Err(Unsuitable::Nested)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (String, Result<Option<String>, Unsuitable>);

    fn read(line: &str) -> Result<Vec<Found>, String> {
        let mut found = Vec::new();
        fields(line, |name, value| found.push((name.to_owned(), value.map(|text| text.map(Cow::into_owned)))))
            .map_err(|error| error.to_string())?;
        Ok(found)
    }

    #[test]
    fn values_come_as_text_and_nulls_as_none() {
        let found = read(
            r#"{"a":"x\n","b":7,"c":-7,"d":true,"e":null,"f":{"g":[1]},"h":"ü","i":1.10,"j":18446744073709551616,"k":[]}"#,
        );
        let text = |text: &str| Ok(Some(text.to_owned()));
        let (nested, inexact) = (|| Err(Unsuitable::Nested), || Err(Unsuitable::Inexact));
        let values = [
            text("x\n"),
            text("7"),
            text("-7"),
            text("true"),
            Ok(None),
            nested(),
            text("ü"),
            inexact(),
            inexact(),
            nested(),
        ];
        assert_eq!(found.unwrap().into_iter().map(|(_, value)| value).collect::<Vec<_>>(), values);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["", "[]", "7", "{\"a\":}", "{} {}", "{\"a\":1"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
