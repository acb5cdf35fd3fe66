//! NDJSON: an object a line, its fields shown one by one.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Shows the fields of the object on a line; `None` is null. Numbers and booleans come as text; a list or an object
/// inside says nothing here, so it is null.
pub fn fields<'t>(line: &'t str, see: impl FnMut(&str, Option<Cow<'t, str>>)) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(line);
    reader.deserialize_map(Fields(see))?;
    reader.end()
}

struct Fields<F>(F);

impl<'t, F: FnMut(&str, Option<Cow<'t, str>>)> Visitor<'t> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(Some(name))) = map.next_key_seed(TextSeed)? {
            let Text(value) = map.next_value_seed(TextSeed)?;
            (self.0)(&name, value);
        }
        Ok(())
    }
}

struct TextSeed;
struct Text<'t>(Option<Cow<'t, str>>);

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
        Ok(Text(Some(text.into())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'t>, E> {
        Ok(Text(Some(text.to_owned().into())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Text<'t>, E> {
        Ok(Text(Some(number.to_string().into())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Text<'t>, E> {
        Ok(Text(Some(number.to_string().into())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Text<'t>, E> {
        Ok(Text(Some(number.to_string().into())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text<'t>, E> {
        Ok(Text(Some(value.to_string().into())))
    }

    fn visit_unit<E: Error>(self) -> Result<Text<'t>, E> {
        Ok(Text(None))
    }

    // Fields that nobody knows may hold anything.
    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Text<'t>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Text<'t>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<(String, Option<String>)>, String> {
        let mut found = Vec::new();
        fields(line, |name, value| found.push((name.to_owned(), value.map(Cow::into_owned))))
            .map_err(|error| error.to_string())?;
        Ok(found)
    }

    #[test]
    fn values_come_as_text_and_nulls_as_none() {
        let found = read(r#"{"a":"x\n","b":7,"c":-7,"d":true,"e":null,"f":{"g":[1]},"h":"ü"}"#).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let values = [text("x\n"), text("7"), text("-7"), text("true"), None, None, text("ü")];
        assert_eq!(found.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), values);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["", "[]", "7", "{\"a\":}", "{} {}", "{\"a\":1"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
