//! Octets walked by the fields of protobuf messages: as fast as they are read, and without an allocation.
//!
//! A field that the type does not have is a misfit: a contract lists what comes. So is a wire type that is not the
//! field's, a text that is not UTF-8, a required field that is missing, and anything behind the end.

use bartizan_core::policy::{Misfit, PayloadCheck};

/// How deep messages are nested at most, as in protobuf's own readers.
const DEPTH_MAX: u32 = 100;
/// Required fields of one message at most: one bit each.
pub(super) const REQUIRED_MAX: usize = 64;

/// How a field's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Varint,
    /// So many octets.
    Fixed(usize),
    Text,
    Octets,
    /// The number of its type.
    Message(usize),
}

#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    pub name: Box<str>,
    pub shape: Shape,
    pub is_list: bool,
}

#[derive(Debug)]
pub(super) struct MessageType {
    pub name: Box<str>,
    /// In ascending order of number.
    pub fields: Box<[Field]>,
    /// Numbers of fields that must be there.
    pub required: Box<[u32]>,
}

/// The messages of which a payload is made; it is the first.
#[derive(Debug)]
pub(super) struct Types {
    messages: Box<[MessageType]>,
}

impl Types {
    pub(super) fn new(messages: Vec<MessageType>) -> Types {
        Types { messages: messages.into() }
    }

    fn walk(&self, number: usize, mut rest: &[u8], depth: u32) -> Result<(), Misfit> {
        let Some(message) = self.messages.get(number) else { return Err(Misfit("it has an unknown type".into())) };
        if depth >= DEPTH_MAX {
            return Err(message.misfit("nested too deep"));
        }
        let mut seen = 0_u64;
        while !rest.is_empty() {
            let key = varint(&mut rest).ok_or_else(|| message.misfit("cut off"))?;
            let number = u32::try_from(key >> 3).map_err(|_| message.misfit("no field's number"))?;
            let at = message.fields.binary_search_by_key(&number, |field| field.number);
            let Some(field) = at.ok().and_then(|at| message.fields.get(at)) else {
                return Err(message.misfit(&format!("it has no field {number}")));
            };
            if let Some(bit) = message.required.iter().take(REQUIRED_MAX).position(|required| *required == number) {
                seen |= 1 << bit;
            }
            self.value(message, field, (key & 7) as u8, &mut rest, depth)?;
        }
        let missing = message.required.iter().take(REQUIRED_MAX).enumerate().any(|(bit, _)| seen & (1 << bit) == 0);
        if missing { Err(message.misfit("a required field is missing")) } else { Ok(()) }
    }

    fn value(
        &self,
        message: &MessageType,
        field: &Field,
        wire_type: u8,
        rest: &mut &[u8],
        depth: u32,
    ) -> Result<(), Misfit> {
        let wrong = |why: &str| Misfit(format!("{}.{}: {why}", message.name, field.name));
        let cut = || wrong("cut off");
        match (wire_type, field.shape) {
            (0, Shape::Varint) => varint(rest).map(drop).ok_or_else(cut),
            (1, Shape::Fixed(8)) => take(rest, 8).map(drop).ok_or_else(cut),
            (5, Shape::Fixed(4)) => take(rest, 4).map(drop).ok_or_else(cut),
            (2, shape) => {
                let octets = varint(rest).and_then(|length| take(rest, usize::try_from(length).ok()?));
                let octets = octets.ok_or_else(cut)?;
                match shape {
                    Shape::Octets => Ok(()),
                    Shape::Text => std::str::from_utf8(octets).map(drop).map_err(|_| wrong("not UTF-8")),
                    Shape::Message(number) => self.walk(number, octets, depth + 1),
                    Shape::Fixed(size) if field.is_list && octets.len() % size == 0 => Ok(()),
                    Shape::Varint if field.is_list => packed(octets).ok_or_else(cut),
                    Shape::Varint | Shape::Fixed(_) => Err(wrong("not of its type")),
                }
            }
            _ => Err(wrong("not of its type")),
        }
    }
}

impl MessageType {
    fn misfit(&self, why: &str) -> Misfit {
        Misfit(format!("{}: {why}", self.name))
    }
}

impl PayloadCheck for Types {
    fn check(&self, payload: &[u8]) -> Result<(), Misfit> {
        self.walk(0, payload, 0)
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for at in 0..10_u32 {
        let (first, tail) = rest.split_first()?;
        *rest = tail;
        let bits = u64::from(first & 0x7f);
        // The tenth octet has room for one bit.
        if at == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * at);
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn packed(mut octets: &[u8]) -> Option<()> {
    while !octets.is_empty() {
        varint(&mut octets)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u32, shape: Shape, is_list: bool) -> Field {
        Field { number, name: format!("f{number}").into(), shape, is_list }
    }

    fn types(required: &[u32]) -> Types {
        let fields = vec![
            field(1, Shape::Varint, false),
            field(2, Shape::Text, false),
            field(3, Shape::Message(0), true),
            field(4, Shape::Fixed(4), true),
            field(5, Shape::Varint, true),
            field(6, Shape::Fixed(8), false),
            field(7, Shape::Octets, false),
        ];
        Types::new(vec![MessageType { name: "M".into(), fields: fields.into(), required: required.into() }])
    }

    #[test]
    fn what_is_written_as_the_fields_say_fits() {
        let types = types(&[]);
        for payload in [
            &b""[..],
            b"\x08\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\x02\xc2\xb5",
            b"\x1a\x00\x1a\x02\x08\x01",
            b"\x22\x08\0\0\0\0\0\0\0\0\x25\0\0\0\0",
            b"\x2a\x02\x01\x02\x28\x03",
            b"\x31\0\0\0\0\0\0\0\0",
            b"\x3a\x01\xff",
        ] {
            assert_eq!(types.check(payload), Ok(()), "{payload:?}");
        }
    }

    #[test]
    fn what_is_not_says_which_field_and_nothing_of_the_payload() {
        let types = types(&[]);
        for (payload, why) in [
            (&b"\x08"[..], "M.f1: cut off"),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "M.f1: cut off"),
            (b"\x09\0\0\0\0\0\0\0\0", "M.f1: not of its type"),
            (b"\x0a\x01\x01", "M.f1: not of its type"),
            (b"\x12\x01\xff", "M.f2: not UTF-8"),
            (b"\x12\x05ab", "M.f2: cut off"),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "M.f2: cut off"),
            (b"\x1a\x01\x08", "M.f1: cut off"),
            (b"\x22\x03\0\0\0", "M.f4: not of its type"),
            (b"\x40\x01", "M: it has no field 8"),
            (b"\x1b\x1c", "M.f3: not of its type"),
            (b"\xff", "M: cut off"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "M: no field's number"),
        ] {
            assert_eq!(types.check(payload), Err(Misfit(why.into())), "{payload:?}");
        }
    }

    #[test]
    fn a_required_field_is_required_and_depth_ends() {
        assert_eq!(types(&[1, 2]).check(b"\x08\x01"), Err(Misfit("M: a required field is missing".into())));
        assert_eq!(types(&[1, 2]).check(b"\x12\x00\x08\x01"), Ok(()));
        let mut nested: Vec<u8> = Vec::new();
        for _ in 0..200 {
            let mut outer = vec![0x1a];
            let mut length = nested.len();
            while length >= 0x80 {
                outer.push((length as u8 & 0x7f) | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.extend_from_slice(&nested);
            nested = outer;
        }
        assert_eq!(types(&[]).check(&nested), Err(Misfit("M: nested too deep".into())));
    }
}
