//! What holds of any octets taken for a payload; shared by a test and the fuzz target `payload`.

#![allow(clippy::expect_used, reason = "a test says what failed by failing")]

use bartizan_core::policy::{Misfit, PayloadCheck, PayloadCompiler, PayloadFormat, PayloadSpec};
use bartizan_engine::payload::Payloads;

const SCHEMA: &str = r##"{"$defs":{"n":{"type":"number","multipleOf":0.1}},"type":["object","array"],
    "properties":{"t":{"$ref":"#/$defs/n"},"s":{"pattern":"^(a|b)*$","maxLength":9},"e":{"enum":[1,"x",null,[1]]}},
    "patternProperties":{"^x":{"not":{"type":"string"}}},"additionalProperties":{"anyOf":[{"type":"null"},{"type":"boolean"}]},
    "items":{"oneOf":[{"$ref":"#/$defs/n"},{"type":"array","uniqueItems":true}]},"contains":{"type":"integer"},"minProperties":1}"##;
const PROTO: &str = r#"syntax = "proto2"; message M { required int32 a = 1; optional M m = 2; repeated fixed32 f = 3;
    repeated sint64 s = 4 [packed = true]; map<string, bytes> b = 5; optional string t = 16; }"#;
/// Octets of the words in which a misfit is told at most.
const WORDS_MAX: usize = 1_024;

/// Every form that a policy can ask for.
pub fn checks() -> Vec<Box<dyn PayloadCheck>> {
    let plain = |format| PayloadSpec { format, schema: None, type_name: None, pattern: None, bytes_max: None };
    let forms = [
        plain(PayloadFormat::Json),
        PayloadSpec { schema: Some(SCHEMA.into()), ..plain(PayloadFormat::Json) },
        PayloadSpec { pattern: Some(r"(\w+ ?)*|\d{3}".into()), bytes_max: Some(64), ..plain(PayloadFormat::Text) },
        PayloadSpec { schema: Some(PROTO.into()), type_name: Some("M".into()), ..plain(PayloadFormat::Protobuf) },
        plain(PayloadFormat::Sparkplug),
    ];
    forms.iter().map(|spec| Payloads.compile(spec).expect("a check")).collect()
}

/// Checks the octets in every form: each says twice the same, and of a misfit a few words. How many it fits.
pub fn check_payload(checks: &[Box<dyn PayloadCheck>], payload: &[u8]) -> usize {
    let mut fitting = 0;
    for check in checks {
        let told = check.check(payload);
        assert_eq!(told, check.check(payload));
        match told {
            Ok(()) => fitting += 1,
            Err(Misfit(why)) => assert!(!why.is_empty() && why.len() <= WORDS_MAX, "{why}"),
        }
    }
    fitting
}
