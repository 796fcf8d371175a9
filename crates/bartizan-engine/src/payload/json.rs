//! JSON: strictly RFC 8259, no key twice in one object, by a JSON Schema where there is one.

use std::fmt;

use bartizan_core::policy::{Misfit, PayloadCheck};
use jsonschema::{PatternOptions, Validator};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{REGEX_BYTES_MAX, schema};

/// Octets of a place in a schema that are told.
const PLACE_BYTES_MAX: usize = 200;

/// JSON, perhaps by a schema.
pub(super) struct Json {
    schema: Option<Validator>,
}

impl fmt::Debug for Json {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Json").field("has_schema", &self.schema.is_some()).finish()
    }
}

impl Json {
    /// Without a schema any JSON fits. What is wrong with one begins with its place in it, a JSON Pointer.
    pub(super) fn new(text: Option<&str>) -> Result<Json, String> {
        let Some(text) = text else { return Ok(Json { schema: None }) };
        let Strict(schema) = serde_json::from_str(text).map_err(|error| format!(": it is no JSON: {error}"))?;
        schema::check(&schema)?;
        let patterns = PatternOptions::regex().size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        // `format` only describes, as the standard has it: some of its checks compile what a peer sent.
        let built = options.should_validate_formats(false).build(&schema);
        let validator = built.map_err(|error| format!("{}: {error}", error.instance_path()))?;
        Ok(Json { schema: Some(validator) })
    }
}

impl PayloadCheck for Json {
    fn check(&self, payload: &[u8]) -> Result<(), Misfit> {
        let parsed = serde_json::from_slice(payload);
        let Strict(value) = parsed.map_err(|error| Misfit(format!("it is no JSON: {error}")))?;
        let Some(schema) = &self.schema else { return Ok(()) };
        schema.validate(&value).map_err(|error| {
            // The place in the schema is the policy's own words; the error's text would quote the payload.
            let place = error.schema_path().as_str();
            let cut = place.char_indices().map(|(at, _)| at).find(|at| *at >= PLACE_BYTES_MAX);
            Misfit(format!("it does not meet {} of the schema", cut.and_then(|at| place.get(..at)).unwrap_or(place)))
        })
    }
}

/// A JSON value in which no object has a key twice: one reader takes the first of two, another the last.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Strict, D::Error> {
        from.deserialize_any(Reader).map(Strict)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(entry)) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESS: &str = r#"{"type":"object","required":["t"],"additionalProperties":false,
        "properties":{"t":{"type":"number","minimum":-40},"unit":{"pattern":"^[CF]$"}}}"#;

    fn misfit(schema: Option<&str>, payload: &[u8]) -> Option<String> {
        Json::new(schema).unwrap().check(payload).err().map(|Misfit(why)| why)
    }

    #[test]
    fn a_payload_meets_its_schema_or_the_place_is_told_without_the_payload() {
        assert_eq!(misfit(Some(PRESS), br#"{"t":21.5,"unit":"C"}"#), None);
        for (payload, place) in [
            (&br#"{"t":"secret"}"#[..], "/properties/t/type"),
            (br#"{"t":-41}"#, "/properties/t/minimum"),
            (br#"{"t":1,"unit":"secret"}"#, "/properties/unit/pattern"),
            (br#"{"t":1,"secret":1}"#, "/additionalProperties"),
            (br#"{}"#, "/required"),
            (br#"["secret"]"#, "/type"),
        ] {
            let why = misfit(Some(PRESS), payload).unwrap();
            assert_eq!(why, format!("it does not meet {place} of the schema"));
        }
    }

    #[test]
    fn what_is_no_json_fits_no_schema_and_not_even_none() {
        for payload in [
            &b""[..],
            b"{",
            b"{'t':1}",
            b"nan",
            b"NaN",
            b"01",
            b"1 2",
            b"\xff",
            b"\"\xff\"",
            br#""\ud800""#,
            br#"{"t":1,"t":2}"#,
            br#"[{"a":{"b":1,"b":1}}]"#,
            b"1e999",
            b"// 1",
        ] {
            let why = misfit(None, payload).unwrap();
            assert!(why.starts_with("it is no JSON: "), "{payload:?}: {why}");
        }
        assert!(misfit(None, br#"{"t":1,"t":2}"#).unwrap().contains("twice"));
        for payload in [&b"1"[..], b" null ", br#"{"t":1,"u":{"t":1}}"#, b"123456789012345678901234567890"] {
            assert_eq!(misfit(None, payload), None, "{payload:?}");
        }
    }

    #[test]
    fn nesting_ends_somewhere() {
        let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert_eq!(misfit(None, &deep(100)), None);
        for depth in [200, 100_000, 1_000_000] {
            assert!(misfit(None, &deep(depth)).is_some());
        }
    }

    #[test]
    fn a_format_describes_and_a_pattern_is_linear() {
        assert_eq!(misfit(Some(r#"{"format":"email"}"#), br#""no""#), None);
        let evil = Json::new(Some(r#"{"pattern":"^(a+)+$"}"#)).unwrap();
        let long = format!("\"{}b\"", "a".repeat(100_000));
        assert!(evil.check(long.as_bytes()).is_err());
        assert!(Json::new(Some(r#"{"pattern":"(?=a)b"}"#)).is_err());
        assert!(Json::new(Some(r#"{"pattern":"((a{1000}){1000}){1000}"}"#)).is_err());
    }

    #[test]
    fn a_schema_that_is_none_says_where() {
        let refused = |text: &str| Json::new(Some(text)).map(drop).unwrap_err();
        assert!(refused("{").starts_with(": it is no JSON"), "{}", refused("{"));
        assert!(refused(r#"{"type":"object","type":"array"}"#).contains("twice"));
        let wrong = refused(r#"{"properties":{"t":{"type":"nubmer"}}}"#);
        assert!(wrong.starts_with("/properties/t/type: "), "{wrong}");
    }
}
