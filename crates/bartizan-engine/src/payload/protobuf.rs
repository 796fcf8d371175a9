//! A `.proto` -> the fields of the messages that a payload can hold. Compiled once, from one text: it imports
//! nothing but protobuf's own types.

use std::collections::HashMap;

use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

use super::wire::{Field, MessageType, REQUIRED_MAX, Shape, Types};

/// What the one file is called in errors: `schema.proto:LINE:COLUMN: ...`.
const NAME: &str = "schema.proto";
/// Sparkplug B's payload, written from the tables of its specification.
const SPARKPLUG: &str = include_str!("sparkplug_b.proto");
/// Messages that one payload's type may be made of.
const MESSAGES_MAX: usize = 4_096;

/// The types of a payload that is the message of this full name.
pub(super) fn types(text: &str, name: &str) -> Result<Types, String> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(OneFile(text.to_owned()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    // `Debug` is the form that has line and column.
    compiler.open_file(NAME).map_err(|error| first_line(&format!("{error:?}")))?;
    let root = compiler.descriptor_pool().get_message_by_name(name);
    let root = root.ok_or_else(|| format!("it has no message {name}; write it with its package"))?;
    Collected::default().of(&root)
}

/// The types of a Sparkplug B payload.
pub(super) fn sparkplug() -> Result<Types, String> {
    types(SPARKPLUG, "sparkplug_b.Payload")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

struct OneFile(String);

impl FileResolver for OneFile {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == NAME { File::from_source(name, &self.0) } else { Err(protox::Error::file_not_found(name)) }
    }
}

#[derive(Default)]
struct Collected {
    /// Numbers of messages by their names, in the order in which they were met.
    numbers: HashMap<String, usize>,
    waiting: Vec<MessageDescriptor>,
}

impl Collected {
    fn of(mut self, root: &MessageDescriptor) -> Result<Types, String> {
        self.number(root);
        let mut messages = Vec::new();
        while let Some(next) = self.waiting.get(messages.len()).cloned() {
            if messages.len() >= MESSAGES_MAX {
                return Err(format!("it is made of more than {MESSAGES_MAX} messages"));
            }
            messages.push(self.message(&next)?);
        }
        Ok(Types::new(messages))
    }

    fn number(&mut self, message: &MessageDescriptor) -> usize {
        if let Some(known) = self.numbers.get(message.full_name()) {
            return *known;
        }
        let number = self.waiting.len();
        self.numbers.insert(message.full_name().to_owned(), number);
        self.waiting.push(message.clone());
        number
    }

    fn message(&mut self, message: &MessageDescriptor) -> Result<MessageType, String> {
        let mut fields = message.fields().map(|field| self.field(&field)).collect::<Result<Vec<_>, _>>()?;
        fields.sort_by_key(|field| field.number);
        let required = message.fields().filter(|field| field.cardinality() == Cardinality::Required);
        let required: Box<[u32]> = required.map(|field| field.number()).collect();
        if required.len() > REQUIRED_MAX {
            return Err(format!("{} has more than {REQUIRED_MAX} required fields", message.full_name()));
        }
        Ok(MessageType { name: message.full_name().into(), fields: fields.into(), required })
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<Field, String> {
        if field.is_group() {
            return Err(format!("{} is a group, which are not taken", field.full_name()));
        }
        let shape = match field.kind() {
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Sint64 => Shape::Varint,
            Kind::Bool | Kind::Enum(_) => Shape::Varint,
            Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => Shape::Fixed(4),
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => Shape::Fixed(8),
            Kind::String => Shape::Text,
            Kind::Bytes => Shape::Octets,
            Kind::Message(inner) => Shape::Message(self.number(&inner)),
        };
        let is_list = field.cardinality() == Cardinality::Repeated;
        Ok(Field { number: field.number(), name: field.name().into(), shape, is_list })
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::policy::PayloadCheck;

    use super::*;

    const PRESS: &str = r#"syntax = "proto3";
        package plant;
        import "google/protobuf/timestamp.proto";
        message Press {
          google.protobuf.Timestamp at = 1;
          repeated double pressure = 2;
          map<string, sint32> counts = 3;
          State state = 4;
          Press next = 5;
        }
        enum State { STATE_UNSPECIFIED = 0; RUNS = 1; }"#;

    #[test]
    fn a_message_is_found_by_its_full_name() {
        let press = types(PRESS, "plant.Press").unwrap();
        let fits = b"\x0a\x02\x08\x01\x12\x08\0\0\0\0\0\0\xf0\x3f\x1a\x05\x0a\x01a\x10\x02\x20\x01\x2a\x02\x20\x01";
        assert_eq!(press.check(fits), Ok(()));
        assert!(press.check(b"{\"t\":1}").is_err());
        for name in ["Press", "plant.State", "plant.Nothing", ""] {
            assert!(types(PRESS, name).map(drop).unwrap_err().contains("no message"), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_proto_has_its_line() {
        let refused = |text: &str| types(text, "A").map(drop).unwrap_err();
        let wrong = refused("syntax = \"proto3\";\nmessage A {\n  strin x = 1;\n}");
        assert!(wrong.starts_with("schema.proto:3:"), "{wrong}");
        let wrong = refused("syntax = \"proto3\";\nmessage A { string x 1; }");
        assert!(wrong.starts_with("schema.proto:2:"), "{wrong}");
        for import in ["other.proto", "/etc/passwd", "../secret.proto", "schema.proto"] {
            refused(&format!("syntax = \"proto3\"; import \"{import}\"; message A {{}}"));
        }
        let group = "syntax = \"proto2\"; message A { optional group G = 1 { optional int32 x = 1; } }";
        assert!(refused(group).contains("group"));
        refused(&format!("syntax = \"proto3\"; message A {{ {} {} }}", "message B {".repeat(5_000), "}".repeat(5_000)));
    }

    #[test]
    fn a_sparkplug_payload_is_known_by_its_own_fields() {
        let sparkplug = sparkplug().unwrap();
        // timestamp 1; metric: name "t", datatype Double, double_value 1.0; seq 0.
        let metric = b"\x0a\x01t\x20\x0a\x69\0\0\0\0\0\0\xf0\x3f";
        let payload = [&b"\x08\x01\x12"[..], &[metric.len() as u8], metric, b"\x18\x00"].concat();
        assert_eq!(sparkplug.check(&payload), Ok(()));
        assert_eq!(sparkplug.check(b""), Ok(()));
        assert!(sparkplug.check(&payload[..payload.len() - 3]).is_err());
        assert!(sparkplug.check(b"\x08").is_err());
        assert!(sparkplug.check(b"ONLINE").is_err());
        assert!(sparkplug.check(br#"{"online":true}"#).is_err());
    }
}
