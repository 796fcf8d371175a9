//! Which JSON Schemas are taken: one document that refers to itself by `#/...` alone, in no circle, and whose parts
//! are bounded once references are put in. So what a payload can cost is known before the first one comes.

use std::collections::HashMap;

use serde_json::Value;

/// Parts of a schema, each counted as often as it is referred to.
const PARTS_MAX: u64 = 20_000;
/// How deep they are nested, references put in.
const DEPTH_MAX: u32 = 128;
/// Keywords that go by names instead of places; and those that, below the first level, would begin another document.
const REFUSED: [&str; 4] = ["$dynamicRef", "$recursiveRef", "$id", "$schema"];
/// Drafts before 6, in which `id` begins another document.
const TOO_OLD: [&str; 2] = ["draft-03", "draft-04"];

/// Parts and depth of a part, references put in.
#[derive(Clone, Copy)]
struct Size {
    parts: u64,
    depth: u32,
}

/// Whether a schema is taken.
///
/// # Errors
/// Where not, as a JSON Pointer, and why.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    if TOO_OLD.iter().any(|old| draft.contains(old)) {
        return Err("/$schema: drafts before 6 are not taken".into());
    }
    let mut unfolding = Unfolding { root: schema, known: HashMap::new() };
    unfolding.measure(schema, &mut String::new(), 0).map(drop)
}

struct Unfolding<'a> {
    root: &'a Value,
    /// By the part's address; none while it is being measured.
    known: HashMap<*const Value, Option<Size>>,
}

impl<'a> Unfolding<'a> {
    fn measure(&mut self, part: &'a Value, place: &mut String, depth: u32) -> Result<Size, String> {
        let deep = |place: &str| format!("{place}: nested deeper than {DEPTH_MAX}, references put in");
        match self.known.get(&std::ptr::from_ref(part)) {
            Some(None) => return Err(format!("{place}: the schema goes in a circle, which is not taken")),
            Some(Some(size)) if depth.saturating_add(size.depth) <= DEPTH_MAX => return Ok(*size),
            Some(Some(_)) => return Err(deep(place)),
            None if depth >= DEPTH_MAX => return Err(deep(place)),
            None => {}
        }
        self.known.insert(std::ptr::from_ref(part), None);
        let mut size = Size { parts: 1, depth: 1 };
        let mut add = |inner: Size| {
            size.parts = size.parts.saturating_add(inner.parts);
            size.depth = size.depth.max(inner.depth.saturating_add(1));
        };
        match part {
            Value::Object(keys) => {
                for (key, value) in keys {
                    let before = place.len();
                    place.push('/');
                    place.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    add(self.measure(value, place, depth + 1)?);
                    if let Some(target) = self.target(key, value, place, depth)? {
                        add(self.measure(target, place, depth + 1)?);
                    }
                    place.truncate(before);
                }
            }
            Value::Array(entries) => {
                for (at, value) in entries.iter().enumerate() {
                    let before = place.len();
                    place.push_str(&format!("/{at}"));
                    add(self.measure(value, place, depth + 1)?);
                    place.truncate(before);
                }
            }
            _ => {}
        }
        if size.parts > PARTS_MAX {
            return Err(format!("{place}: more than {PARTS_MAX} parts, references put in"));
        }
        self.known.insert(std::ptr::from_ref(part), Some(size));
        Ok(size)
    }

    /// What a reference refers to. A text under one of these keys is taken for a reference wherever it stands.
    fn target(&self, key: &str, value: &Value, place: &str, depth: u32) -> Result<Option<&'a Value>, String> {
        let Value::String(text) = value else { return Ok(None) };
        if REFUSED.contains(&key) && (depth > 0 || key.starts_with("$d") || key.starts_with("$r")) {
            return Err(format!("{place}: {key} is not taken: refer to places of the schema, #/..."));
        }
        if key != "$ref" {
            return Ok(None);
        }
        let pointer = text.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(pointer) = pointer.filter(|rest| !rest.contains('%')) else {
            return Err(format!("{place}: {text:?} is not in this schema: only #/... is, and nothing is fetched"));
        };
        match self.root.pointer(pointer) {
            Some(target) => Ok(Some(target)),
            None => Err(format!("{place}: there is no {text:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_to_places_of_the_document_are_taken() {
        let taken = json!({"$id": "https://plant.example/press", "$defs": {"t": {"type": "number"}, "a/b": {"$ref": "#/$defs/t"}},
            "properties": {"x": {"$ref": "#/$defs/t"}, "y": {"$ref": "#/$defs/a~1b"}, "id": {"type": "string"}, "$ref": {}}});
        assert_eq!(check(&taken), Ok(()));
        assert_eq!(check(&json!(true)), Ok(()));
    }

    #[test]
    fn nothing_leaves_the_document() {
        for refused in [
            json!({"$ref": "http://169.254.169.254/latest"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "other.json"}),
            json!({"$ref": "#name"}),
            json!({"$ref": "#/%24defs/t", "$defs": {"t": {}}}),
            json!({"$ref": "#/nowhere"}),
            json!({"allOf": [{"$dynamicRef": "#a"}]}),
            json!({"properties": {"a": {"$id": "https://else.example/"}}}),
            json!({"definitions": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}}),
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
        ] {
            let why = check(&refused).unwrap_err();
            assert!(why.starts_with('/'), "{why}");
        }
    }

    #[test]
    fn circles_are_refused() {
        for refused in [
            json!({"$ref": "#"}),
            json!({"properties": {"next": {"$ref": "#"}}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
        ] {
            assert!(check(&refused).unwrap_err().contains("circle"), "{refused}");
        }
    }

    #[test]
    fn what_unfolds_beyond_its_bounds_is_refused() {
        let level = |at: u32| {
            let next = format!("#/$defs/l{}", at + 1);
            (format!("l{at}"), json!({"allOf": [{"$ref": next}, {"$ref": next}]}))
        };
        let mut defs: serde_json::Map<String, Value> = (0..30).map(level).collect();
        defs.insert("l30".into(), json!({"type": "number"}));
        assert!(check(&json!({"$ref": "#/$defs/l0", "$defs": defs})).unwrap_err().contains("parts"));
        let step = |at: u32| (format!("s{at}"), json!({"$ref": format!("#/$defs/s{}", at + 1)}));
        for last in [1_000, 50_000] {
            let mut defs: serde_json::Map<String, Value> = (0..last).map(step).collect();
            defs.insert(format!("s{last}"), json!({}));
            let why = check(&json!({"$ref": "#/$defs/s0", "$defs": defs})).unwrap_err();
            assert!(why.contains("deeper") || why.contains("parts"), "{why}");
        }
    }
}
