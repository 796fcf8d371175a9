//! When a rule counts: circumstances of the connection, decided once when grants are resolved, and
//! properties of the message, decided with each.
//!
//! Where something is not known, nobody gains from it: a permit does not count, a forbid does. There is one
//! exception, for what no connection stands behind (a Retained Message of somebody who is away, a
//! stored Session): its circumstances are open until somebody connects, and count for the permit.

use core::net::IpAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::network::Network;
use crate::message::Message;
use crate::wire::{Properties, Property, Publish, QoS};

/// How a client is connected.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// The address it comes from; `None` for a Unix socket.
    pub address: Option<IpAddr>,
    /// How it was proved: `certificate`, `password`, `certificate+jwt` ...
    pub method: &'a str,
    /// How strong that is.
    pub strength: Strength,
}

/// Words for how strongly an identity was proved. Both may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    /// By a client certificate, alone or with something else.
    pub certificate: bool,
    /// By two different factors.
    pub mfa: bool,
}

/// Which time windows of an image are open, in the image's order. One that is not there is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenWindows(pub Box<[bool]>);

/// What a decision about a PUBLISH depends on beside its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Its QoS.
    pub qos: QoS,
    /// Its RETAIN flag.
    pub retain: bool,
    /// Octets of its payload.
    pub payload_bytes: usize,
    /// Its Content Type (MQTT 5, 3.3.2.3.9).
    pub content_type: Option<&'a str>,
    /// Whether its Payload Format Indicator says that it is UTF-8 (3.3.2.3.2).
    pub is_utf8: bool,
}

impl<'a> Asked<'a> {
    /// A message of these, without properties.
    #[must_use]
    pub fn plain(qos: QoS, retain: bool, payload_bytes: usize) -> Asked<'static> {
        Asked { qos, retain, payload_bytes, content_type: None, is_utf8: false }
    }

    /// The same with these properties.
    #[must_use]
    pub fn with(self, properties: Properties<'a>) -> Asked<'a> {
        let mut asked = self;
        for property in properties {
            match property {
                Property::ContentType(content_type) => asked.content_type = Some(content_type),
                Property::PayloadFormatIndicator(indicator) => asked.is_utf8 = indicator == 1,
                _ => {}
            }
        }
        asked
    }
}

impl<'a> From<&Publish<'a>> for Asked<'a> {
    fn from(publish: &Publish<'a>) -> Asked<'a> {
        Asked::plain(publish.qos, publish.retain, publish.payload.len()).with(publish.properties)
    }
}

impl<'a> From<&'a Message> for Asked<'a> {
    fn from(message: &'a Message) -> Asked<'a> {
        let plain = Asked::plain(message.qos, message.retain, message.payload().len());
        plain.with(Properties { raw: message.properties() })
    }
}

/// The condition of a rule. Every part that is there must hold; of a list, one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub attributes: Vec<(Box<str>, Vec<Box<str>>)>,
    pub listeners: Option<Vec<Box<str>>>,
    pub places: Option<Vec<Place>>,
    pub methods: Option<Vec<Box<str>>>,
    pub strengths: Option<Vec<StrengthWord>>,
    /// Indexes of `Image::windows`.
    pub windows: Option<Vec<u16>>,
    pub message: MessageCondition,
}

/// The part that each message decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct MessageCondition {
    /// Bits: 1 for QoS 0, 2 for QoS 1, 4 for QoS 2.
    pub qos: Option<u8>,
    pub retain: Option<bool>,
    pub payload_bytes: Option<RangeInclusive<u64>>,
    pub content_types: Option<Vec<Box<str>>>,
    pub is_utf8: Option<bool>,
}

/// Where a client may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Network(Network),
    /// A Unix socket.
    Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StrengthWord {
    Certificate,
    Mfa,
}

/// Whether the circumstances let a rule count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    No,
    /// Something is missing: a forbid counts, a permit does not.
    AsForbid,
    /// The circumstances are open: a permit counts, a forbid does not.
    AsPermit,
    Yes,
}

impl Counts {
    pub(super) fn holds(self, is_forbid: bool) -> bool {
        self == Counts::Yes || self == (if is_forbid { Counts::AsForbid } else { Counts::AsPermit })
    }

    fn and(self, other: Counts) -> Counts {
        match (self, other) {
            (Counts::Yes, other) => other,
            (this, Counts::Yes) => this,
            (this, other) if this == other => this,
            // One of them never counts; or something is missing, and nobody there: neither permits nor forbids.
            _ => Counts::No,
        }
    }
}

impl Condition {
    /// Whether it lets a rule count in these circumstances, whatever the message.
    pub(super) fn counts(
        &self,
        attributes: &dyn Fn(&str) -> Option<std::sync::Arc<str>>,
        there: Option<&Circumstances<'_>>,
        open: &OpenWindows,
    ) -> Counts {
        let mut counts = Counts::Yes;
        for (name, wanted) in &self.attributes {
            counts = counts.and(match attributes(name) {
                None => Counts::AsForbid,
                Some(value) if wanted.iter().any(|wanted| **wanted == *value) => Counts::Yes,
                Some(_) => Counts::No,
            });
        }
        if let Some(windows) = &self.windows {
            let is_open = |at: &u16| open.0.get(usize::from(*at)).copied().unwrap_or(false);
            counts = counts.and(if windows.iter().any(is_open) { Counts::Yes } else { Counts::No });
        }
        match there {
            Some(there) => counts.and(if self.suits(there) { Counts::Yes } else { Counts::No }),
            None if self.is_about_connections() => counts.and(Counts::AsPermit),
            None => counts,
        }
    }

    fn suits(&self, there: &Circumstances<'_>) -> bool {
        let named = |list: &Option<Vec<Box<str>>>, text: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|entry| **entry == *text))
        };
        // Of several that were asked for together (`certificate+jwt`) each is one as well.
        let proved_by = there.method.split('+').any(|part| named(&self.methods, part));
        let comes_from = |place: &Place| match (place, there.address) {
            (Place::Network(network), Some(address)) => network.contains(address),
            (Place::Local, None) => true,
            _ => false,
        };
        let is_strong = |word: &StrengthWord| match word {
            StrengthWord::Certificate => there.strength.certificate,
            StrengthWord::Mfa => there.strength.mfa,
        };
        named(&self.listeners, there.listener)
            && (proved_by || named(&self.methods, there.method))
            && self.places.as_ref().is_none_or(|places| places.iter().any(comes_from))
            && self.strengths.as_ref().is_none_or(|words| words.iter().any(is_strong))
    }

    fn is_about_connections(&self) -> bool {
        self.listeners.is_some() || self.places.is_some() || self.methods.is_some() || self.strengths.is_some()
    }
}

impl MessageCondition {
    /// True if it holds for every message.
    pub(super) fn is_empty(&self) -> bool {
        *self == MessageCondition::default()
    }

    /// True if it depends on more than QoS and RETAIN.
    pub(super) fn is_about_content(&self) -> bool {
        self.payload_bytes.is_some() || self.content_types.is_some() || self.is_utf8.is_some()
    }

    pub(super) fn holds(&self, asked: &Asked<'_>) -> bool {
        self.qos.is_none_or(|bits| bits & (1 << (asked.qos as u8)) != 0)
            && self.retain.is_none_or(|retain| retain == asked.retain)
            && self.payload_bytes.as_ref().is_none_or(|range| range.contains(&(asked.payload_bytes as u64)))
            && self.is_utf8.is_none_or(|utf8| utf8 == asked.is_utf8)
            && self.content_types.as_ref().is_none_or(|types| {
                asked.content_type.is_some_and(|content| types.iter().any(|wanted| **wanted == *content))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::wire::PropertyWriter;

    const NOBODY: &dyn Fn(&str) -> Option<Arc<str>> = &|_| None;

    fn there() -> Circumstances<'static> {
        Circumstances {
            listener: "mqtts",
            address: Some("10.1.2.3".parse().unwrap()),
            method: "certificate",
            strength: Strength { certificate: true, mfa: false },
        }
    }

    fn listeners(names: &[&str]) -> Condition {
        Condition { listeners: Some(names.iter().map(|name| Box::from(*name)).collect()), ..Condition::default() }
    }

    #[test]
    fn every_part_must_hold_and_of_a_list_one_entry() {
        let windows = OpenWindows([false, true].into());
        let counts = |condition: &Condition| condition.counts(NOBODY, Some(&there()), &windows);
        assert_eq!(counts(&Condition::default()), Counts::Yes);
        assert_eq!(counts(&listeners(&["wss", "mqtts"])), Counts::Yes);
        assert_eq!(counts(&listeners(&["wss"])), Counts::No);
        let place = |text: &str| Condition {
            places: Some(vec![Place::Local, Place::Network(Network::parse(text).unwrap())]),
            ..listeners(&["mqtts"])
        };
        assert_eq!(counts(&place("10.0.0.0/8")), Counts::Yes);
        assert_eq!(counts(&place("11.0.0.0/8")), Counts::No);
        let strong = |word| Condition { strengths: Some(vec![word]), ..Condition::default() };
        assert_eq!(counts(&strong(StrengthWord::Certificate)), Counts::Yes);
        assert_eq!(counts(&strong(StrengthWord::Mfa)), Counts::No);
        let method = |name: &str| Condition { methods: Some(vec![name.into()]), ..Condition::default() };
        assert_eq!((counts(&method("certificate")), counts(&method("password"))), (Counts::Yes, Counts::No));
        let both = Circumstances { method: "certificate+jwt", ..there() };
        for (name, counts) in [("jwt", Counts::Yes), ("certificate+jwt", Counts::Yes), ("password", Counts::No)] {
            assert_eq!(method(name).counts(NOBODY, Some(&both), &windows), counts, "{name}");
        }
        let window = |at| Condition { windows: Some(vec![at]), ..Condition::default() };
        assert_eq!((counts(&window(1)), counts(&window(0)), counts(&window(9))), (Counts::Yes, Counts::No, Counts::No));
    }

    #[test]
    fn a_unix_socket_is_local_and_in_no_network() {
        let everywhere =
            || [Network::parse("0.0.0.0/0"), Network::parse("::/0")].map(|one| Place::Network(one.unwrap()));
        let counts = |places: Vec<Place>, address| {
            let condition = Condition { places: Some(places), ..Condition::default() };
            condition.counts(NOBODY, Some(&Circumstances { address, ..there() }), &OpenWindows::default())
        };
        assert_eq!(counts(vec![Place::Local], None), Counts::Yes);
        assert_eq!(counts(vec![Place::Local], there().address), Counts::No);
        assert_eq!(counts(everywhere().into(), None), Counts::No);
        assert_eq!(counts(everywhere().into(), there().address), Counts::Yes);
    }

    #[test]
    fn each_of_the_words_about_a_connection_is_open_while_nobody_is_connected() {
        for condition in [
            listeners(&["wss"]),
            Condition { places: Some(vec![Place::Local]), ..Condition::default() },
            Condition { methods: Some(vec!["password".into()]), ..Condition::default() },
            Condition { strengths: Some(vec![StrengthWord::Mfa]), ..Condition::default() },
        ] {
            assert_eq!(condition.counts(NOBODY, None, &OpenWindows::default()), Counts::AsPermit, "{condition:?}");
        }
    }

    #[test]
    fn nobody_gains_from_an_attribute_that_he_lacks() {
        let site =
            Condition { attributes: vec![("site".into(), vec!["a".into(), "b".into()])], ..Condition::default() };
        let with = |value: Option<&'static str>| {
            site.counts(&|_| value.map(Arc::from), Some(&there()), &OpenWindows::default())
        };
        assert_eq!((with(Some("a")), with(Some("b")), with(Some("c"))), (Counts::Yes, Counts::Yes, Counts::No));
        let missing = with(None);
        assert!(missing.holds(true) && !missing.holds(false));
    }

    #[test]
    fn two_attributes_that_are_missing_are_no_way_around_a_forbid() {
        let wanted = |name: &str| (name.into(), vec!["a".into()]);
        let both = Condition { attributes: vec![wanted("site"), wanted("area")], ..Condition::default() };
        let missing = both.counts(NOBODY, Some(&there()), &OpenWindows::default());
        assert!(missing.holds(true) && !missing.holds(false));
        let one = |name: &str| (name == "site").then(|| Arc::from("b"));
        assert_eq!(both.counts(&one, Some(&there()), &OpenWindows::default()), Counts::No);
    }

    #[test]
    fn circumstances_are_open_while_nobody_is_connected() {
        let away = |condition: &Condition| condition.counts(NOBODY, None, &OpenWindows::default());
        assert!(away(&listeners(&["wss"])).holds(false) && !away(&listeners(&["wss"])).holds(true));
        assert_eq!(away(&Condition::default()), Counts::Yes);
        assert_eq!(away(&Condition { windows: Some(vec![0]), ..listeners(&["wss"]) }), Counts::No);
        let both = Condition { attributes: vec![("site".into(), vec![])], ..listeners(&["wss"]) };
        assert!(!away(&both).holds(true) && !away(&both).holds(false));
    }

    #[test]
    fn what_a_message_says_of_its_content_is_in_its_properties() {
        let plain = Asked::plain(QoS::AtMostOnce, false, 1);
        for (indicator, is_utf8) in [(0, false), (1, true)] {
            let mut raw = Vec::new();
            PropertyWriter::new(&mut raw)
                .put(Property::PayloadFormatIndicator(indicator))
                .put(Property::ContentType("text/plain"))
                .put(Property::UserProperty(("k", "v")));
            let asked = plain.with(Properties { raw: &raw });
            assert_eq!(asked, Asked { content_type: Some("text/plain"), is_utf8, ..plain });
        }
        assert_eq!(plain.with(Properties { raw: &[] }), plain);
    }

    #[test]
    fn a_message_is_judged_by_qos_retain_size_and_content() {
        let message = MessageCondition {
            qos: Some(0b011),
            retain: Some(false),
            payload_bytes: Some(2..=4),
            content_types: Some(vec!["text/plain".into()]),
            is_utf8: Some(true),
        };
        let asked =
            Asked { content_type: Some("text/plain"), is_utf8: true, ..Asked::plain(QoS::AtLeastOnce, false, 4) };
        assert!(message.holds(&asked));
        for wrong in [
            Asked { qos: QoS::ExactlyOnce, ..asked },
            Asked { retain: true, ..asked },
            Asked { payload_bytes: 1, ..asked },
            Asked { payload_bytes: 5, ..asked },
            Asked { content_type: None, ..asked },
            Asked { content_type: Some("text/html"), ..asked },
            Asked { is_utf8: false, ..asked },
        ] {
            assert!(!message.holds(&wrong), "{wrong:?}");
        }
        assert!(MessageCondition::default().is_empty() && !message.is_empty());
        let plain = MessageCondition { qos: Some(1), retain: Some(true), ..MessageCondition::default() };
        assert!(!plain.is_about_content(), "these are looked at without the properties");
        for about_content in [
            MessageCondition { payload_bytes: message.payload_bytes, ..plain.clone() },
            MessageCondition { content_types: message.content_types, ..plain.clone() },
            MessageCondition { is_utf8: message.is_utf8, ..plain },
        ] {
            assert!(about_content.is_about_content(), "{about_content:?}");
        }
    }
}
