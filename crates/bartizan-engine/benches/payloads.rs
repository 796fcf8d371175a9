//! What a check of a payload costs: `cargo bench -p bartizan-engine --bench payloads`. Nanoseconds, as the best of
//! several rounds; docs/reference/policy-cost.md has a run.

#![allow(clippy::unwrap_used, reason = "what is not as expected is not measured")]
#![allow(clippy::print_stdout, reason = "the table is the output")]

use std::hint::black_box;
use std::time::Instant;

use bartizan_core::policy::{PayloadCompiler, PayloadFormat, PayloadSpec};
use bartizan_engine::payload::Payloads;

const ROUNDS: usize = 7;
const PRESS: &str = r#"{"type":"object","required":["asset","at","values"],"additionalProperties":false,"properties":{
    "asset":{"type":"string","pattern":"^press-[0-9]+$"},"at":{"type":"integer","minimum":0},"unit":{"enum":["Cel","bar"]},
    "values":{"type":"array","items":{"type":"number","minimum":-40,"maximum":400}}}}"#;
const PROTO: &str = r#"syntax = "proto3"; package plant;
    message Press { string asset = 1; uint64 at = 2; string unit = 3; repeated double values = 4; }"#;

/// Nanoseconds of one call.
fn best(mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    work();
    let times = (20_000_000 / begun.elapsed().as_nanos().max(1)).clamp(10, 100_000) as u32;
    let round = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..times).for_each(|_| work());
        begun.elapsed().as_nanos() as f64 / f64::from(times)
    };
    (0..ROUNDS).map(|_| round(&mut work)).fold(f64::MAX, f64::min)
}

fn measure(name: &str, spec: &PayloadSpec, payload: &[u8]) {
    let check = Payloads.compile(spec).unwrap();
    check.check(payload).unwrap();
    let made = best(|| {
        black_box(Payloads.compile(black_box(spec)).is_ok());
    });
    let checked = best(|| {
        black_box(check.check(black_box(payload)).is_ok());
    });
    println!("| {name} | {} | {checked:.0} | {:.0} |", payload.len(), made / 1_000.0);
}

fn json(octets: usize) -> Vec<u8> {
    let mut text = String::from(r#"{"asset":"press-17","at":1763733600000,"unit":"Cel","values":[21.5"#);
    while text.len() < octets.saturating_sub(6) {
        text.push_str(",21.5");
    }
    text.push_str("]}");
    text.into_bytes()
}

fn protobuf(values: usize) -> Vec<u8> {
    let mut octets = b"\x0a\x08press-17\x10\x80\x80\x80\x80\x20\x1a\x03Cel\x22".to_vec();
    let mut length = values * 8;
    while length >= 0x80 {
        octets.push((length as u8) | 0x80);
        length >>= 7;
    }
    octets.push(length as u8);
    octets.extend(std::iter::repeat_n(21.5_f64.to_le_bytes(), values).flatten());
    octets
}

fn sparkplug(metrics: usize) -> Vec<u8> {
    let metric = b"\x0a\x0bTemperature\x18\x01\x20\x0a\x69\0\0\0\0\0\x80\x35\x40";
    let mut octets = b"\x08\x01\x18\x07".to_vec();
    for _ in 0..metrics {
        octets.extend_from_slice(&[0x12, metric.len() as u8]);
        octets.extend_from_slice(metric);
    }
    octets
}

fn main() {
    let plain = |format| PayloadSpec { format, schema: None, type_name: None, pattern: None, bytes_max: None };
    let schema = PayloadSpec { schema: Some(PRESS.into()), ..plain(PayloadFormat::Json) };
    let pattern = PayloadSpec { pattern: Some(r"-?\d+(\.\d+)?".into()), ..plain(PayloadFormat::Text) };
    let message = PayloadSpec {
        schema: Some(PROTO.into()),
        type_name: Some("plant.Press".into()),
        ..plain(PayloadFormat::Protobuf)
    };
    println!("| payload | octets | check, ns | make the check, µs |");
    println!("|---|---|---|---|");
    measure("octets", &plain(PayloadFormat::Bytes), &[0; 200]);
    measure("text", &plain(PayloadFormat::Text), &[b'a'; 200]);
    measure("text by a pattern", &pattern, b"21.5");
    for octets in [200, 16_384] {
        measure("JSON", &plain(PayloadFormat::Json), &json(octets));
        measure("JSON by a schema", &schema, &json(octets));
    }
    for values in [20, 2_000] {
        measure("protobuf", &message, &protobuf(values));
    }
    for metrics in [1, 20] {
        measure("Sparkplug B", &plain(PayloadFormat::Sparkplug), &sparkplug(metrics));
    }
}
