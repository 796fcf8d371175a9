//! Checks of payloads, for core's port: made once when a policy is loaded, and then total.
//!
//! | file       | what                                                              |
//! |------------|-------------------------------------------------------------------|
//! | `json`     | JSON without keys that are there twice; JSON Schema               |
//! | `schema`   | which JSON Schemas are taken: bounded, without circles, nothing from outside |
//! | `text`     | UTF-8 by a regular expression                                     |
//! | `protobuf` | a `.proto` -> the fields of its messages                          |
//! | `wire`     | octets walked by these fields, without an allocation              |
//!
//! What a payload costs is bounded by its length times what its schema unfolds to; nothing is fetched, and no
//! expression backtracks.

mod json;
mod protobuf;
mod schema;
mod text;
mod wire;

use bartizan_core::policy::{Misfit, PayloadCheck, PayloadCompiler, PayloadFormat, PayloadSpec};

/// Octets that one compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

/// Makes the checks that a policy asks for.
#[derive(Clone, Copy, Debug)]
pub struct Payloads;

impl PayloadCompiler for Payloads {
    fn compile(&self, spec: &PayloadSpec) -> Result<Box<dyn PayloadCheck>, String> {
        refuse_surplus(spec)?;
        let form: Box<dyn PayloadCheck> = match spec.format {
            PayloadFormat::Bytes => Box::new(Anything),
            PayloadFormat::Json => Box::new(json::Json::new(spec.schema.as_deref())?),
            PayloadFormat::Text => Box::new(text::Text::new(spec.pattern.as_deref())?),
            PayloadFormat::Sparkplug => Box::new(protobuf::sparkplug()?),
            PayloadFormat::Protobuf => match (&spec.schema, &spec.type_name) {
                (Some(schema), Some(name)) => Box::new(protobuf::types(schema, name)?),
                _ => return Err("protobuf needs a .proto and the name of a message".into()),
            },
        };
        Ok(match spec.bytes_max {
            Some(bytes_max) => Box::new(Bounded { bytes_max, form }),
            None => form,
        })
    }
}

/// What one format knows, and another does not.
fn refuse_surplus(spec: &PayloadSpec) -> Result<(), String> {
    let takes_schema = matches!(spec.format, PayloadFormat::Json | PayloadFormat::Protobuf);
    let surplus = [
        ("a schema", spec.schema.is_some() && !takes_schema),
        ("a type", spec.type_name.is_some() && spec.format != PayloadFormat::Protobuf),
        ("a pattern", spec.pattern.is_some() && spec.format != PayloadFormat::Text),
    ];
    match surplus.iter().find(|(_, is_there)| *is_there) {
        Some((what, _)) => Err(format!("this format has no use for {what}")),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Anything;

impl PayloadCheck for Anything {
    fn check(&self, _: &[u8]) -> Result<(), Misfit> {
        Ok(())
    }
}

#[derive(Debug)]
struct Bounded {
    bytes_max: u64,
    form: Box<dyn PayloadCheck>,
}

impl PayloadCheck for Bounded {
    fn check(&self, payload: &[u8]) -> Result<(), Misfit> {
        if payload.len() as u64 > self.bytes_max {
            return Err(Misfit(format!("it has more than {} octets", self.bytes_max)));
        }
        self.form.check(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn spec(format: PayloadFormat) -> PayloadSpec {
        PayloadSpec { format, schema: None, type_name: None, pattern: None, bytes_max: None }
    }

    #[test]
    fn what_a_format_has_no_use_for_is_refused() {
        use PayloadFormat as F;
        for (format, key) in [(F::Text, 0), (F::Bytes, 0), (F::Sparkplug, 0), (F::Json, 1), (F::Json, 2), (F::Bytes, 2)]
        {
            let mut spec = spec(format);
            match key {
                0 => spec.schema = Some("{}".into()),
                1 => spec.type_name = Some("a".into()),
                _ => spec.pattern = Some("a".into()),
            }
            let refused = Payloads.compile(&spec).map(drop).unwrap_err();
            assert!(refused.contains("no use for"), "{format:?} {key}: {refused}");
        }
        assert!(Payloads.compile(&spec(F::Protobuf)).is_err());
    }

    #[test]
    fn a_bound_on_octets_holds_for_every_format() {
        let bounded = Payloads.compile(&PayloadSpec { bytes_max: Some(3), ..spec(PayloadFormat::Bytes) }).unwrap();
        assert_eq!(bounded.check(b"123"), Ok(()));
        assert_eq!(bounded.check(b"1234"), Err(Misfit("it has more than 3 octets".into())));
        let json = Payloads.compile(&PayloadSpec { bytes_max: Some(3), ..spec(PayloadFormat::Json) }).unwrap();
        assert!(json.check(b"{}").is_ok() && json.check(b"{ }").is_ok() && json.check(b"{  }").is_err());
    }
}
