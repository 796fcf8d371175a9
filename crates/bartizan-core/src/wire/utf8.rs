//! UTF-8 Encoded String rules (1.5.4).
//!
//! Refused: ill-formed UTF-8, surrogates among it [MQTT-1.5.4-1], and U+0000 [MQTT-1.5.4-2].
//! Control characters and non-characters are only a MAY; U+FEFF is an ordinary character and
//! stays where it is [MQTT-1.5.4-3]. Who wants fewer characters in Topic Names says so in policy.

use super::error::{DecodeError, malformed};
use crate::octets::contains_nul;

/// These octets as a string, if the rules allow it.
#[inline]
pub fn parse(octets: &[u8]) -> Result<&str, DecodeError> {
    // std scans ASCII a word at a time, so the commonest strings need no fast path of ours.
    let Ok(text) = std::str::from_utf8(octets) else {
        return Err(malformed("a string is not well-formed UTF-8 [MQTT-1.5.4-1]"));
    };
    if contains_nul(octets) {
        return Err(malformed("a string contains U+0000 [MQTT-1.5.4-2]"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ReasonCode;

    #[test]
    fn mqtt_1_5_4_1_ill_formed_utf8_is_malformed() {
        let ill_formed: [&[u8]; 6] = [
            &[0xED, 0xA0, 0x80],       // the surrogate U+D800
            &[0xC0, 0x80],             // overlong U+0000
            &[0xE2, 0x82],             // cut short
            &[0xFF],                   // never an octet of UTF-8
            &[0xF4, 0x90, 0x80, 0x80], // above U+10FFFF
            &[b'a', 0x80],             // a lone continuation
        ];
        for octets in ill_formed {
            assert_eq!(parse(octets).unwrap_err().reason, ReasonCode::MalformedPacket, "{octets:02x?}");
        }
    }

    #[test]
    fn mqtt_1_5_4_2_null_is_malformed() {
        assert_eq!(parse(b"a\0b").unwrap_err().reason, ReasonCode::MalformedPacket);
    }

    #[test]
    fn mqtt_1_5_4_3_a_byte_order_mark_is_kept() {
        assert_eq!(parse(b"\xEF\xBB\xBFa").unwrap(), "\u{FEFF}a");
    }

    #[test]
    fn control_and_non_characters_are_accepted() {
        for text in ["\u{1}", "\u{7f}", "\u{9f}", "\u{FFFF}", "\u{1FFFE}", "", "caf\u{e9}/\u{1F980}"] {
            assert_eq!(parse(text.as_bytes()).unwrap(), text);
        }
    }
}
