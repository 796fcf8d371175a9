//! CONNECT (3.1): the packet that says which version the Network Connection speaks.

use crate::wire::decode::Role;
use crate::wire::error::{DecodeError, malformed};
use crate::wire::packet::{Connect, Properties, QoS, Will};
use crate::wire::property_rules::{Place, read_block};
use crate::wire::reader::Reader;
use crate::wire::{ReasonCode, Version};

/// Connect Flags (3.1.2.3).
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    fn clean_start(self) -> bool {
        self.0 & 0x02 != 0
    }
    fn will(self) -> bool {
        self.0 & 0x04 != 0
    }
    fn will_qos_bits(self) -> u8 {
        (self.0 >> 3) & 0x03
    }
    fn will_retain(self) -> bool {
        self.0 & 0x20 != 0
    }
    fn password(self) -> bool {
        self.0 & 0x40 != 0
    }
    fn user_name(self) -> bool {
        self.0 & 0x80 != 0
    }

    fn check(self, version: Version) -> Result<(), DecodeError> {
        if self.0 & 0x01 != 0 {
            return Err(malformed("the reserved bit of the Connect Flags is set [MQTT-3.1.2-3]"));
        }
        if !self.will() && (self.will_qos_bits() != 0 || self.will_retain()) {
            return Err(malformed("Will QoS or Will Retain is set without the Will Flag [MQTT-3.1.2-11]"));
        }
        // 5.0 allows a password alone: a token needs no name (3.1.2.9).
        if self.password() && !self.user_name() && !version.is_v5() {
            return Err(malformed("a password without a user name (3.1.1) [MQTT-3.1.2-22]"));
        }
        Ok(())
    }
}

/// Reads the body of a CONNECT. Errors know the version as soon as it has been read.
pub(super) fn decode(body: &[u8]) -> Result<Connect<'_>, DecodeError> {
    let mut from = Reader::new(body);
    let version = version(&mut from)?;
    after_version(from, version).map_err(|error| error.spoken(Some(version)))
}

/// Protocol Name and Protocol Version (3.1.2.1, 3.1.2.2).
fn version(from: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = from.text()?;
    if name != "MQTT" && name != "MQIsdp" {
        // Nothing is answered: a peer that is not MQTT need not learn that this is [MQTT-3.1.2-1].
        return Err(DecodeError::new(
            ReasonCode::UnsupportedProtocolVersion,
            "the Protocol Name is not MQTT [MQTT-3.1.2-1]",
        ));
    }
    match (name, from.byte()?) {
        ("MQTT", 5) => Ok(Version::V5),
        ("MQTT", 4) => Ok(Version::V311),
        ("MQIsdp", 3) => Ok(Version::V31),
        // 3.1.1 requires return code 0x01 here, in the form of 3.1.1; 5.0 only allows an answer.
        _ => Err(DecodeError::new(
            ReasonCode::UnsupportedProtocolVersion,
            "the Protocol Version is not supported [MQTT-3.1.2-2]",
        )
        .spoken(Some(Version::V311))),
    }
}

fn after_version(mut from: Reader<'_>, version: Version) -> Result<Connect<'_>, DecodeError> {
    let flags = Flags(from.byte()?);
    flags.check(version)?;
    let keep_alive_s = from.two()?;
    let properties = block(&mut from, version, Place::Connect)?;
    let client_id = from.text()?;
    let will = if flags.will() { Some(will(&mut from, version, flags)?) } else { None };
    let user_name = if flags.user_name() { Some(from.text()?) } else { None };
    let password = if flags.password() { Some(from.binary()?) } else { None };
    from.end("octets follow the payload of CONNECT (3.1.3)")?;
    Ok(Connect {
        version,
        clean_start: flags.clean_start(),
        keep_alive_s,
        properties,
        client_id,
        will,
        user_name,
        password,
    })
}

fn will<'a>(from: &mut Reader<'a>, version: Version, flags: Flags) -> Result<Will<'a>, DecodeError> {
    let qos = QoS::from_bits(flags.will_qos_bits()).ok_or_else(|| malformed("Will QoS is 3 [MQTT-3.1.2-12]"))?;
    let properties = block(from, version, Place::Will)?;
    let topic = from.text()?;
    let payload = from.binary()?;
    Ok(Will { topic, payload, qos, retain: flags.will_retain(), properties })
}

fn block<'a>(from: &mut Reader<'a>, version: Version, place: Place) -> Result<Properties<'a>, DecodeError> {
    if version.is_v5() { read_block(from, place, Role::Server) } else { Ok(Properties::default()) }
}
