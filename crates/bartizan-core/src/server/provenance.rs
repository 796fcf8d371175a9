//! Provenance: whose a message is, told in User Properties that no client can forge, where a topic asks for it.
//!
//! Their names begin with `bartizan-`. While the policy has such a topic, no property of a client with such a name goes
//! on, whatever the topic: who reads one knows that it is the server's word.

use super::Server;
use super::publish::Speech;
use crate::message::{Message, Time};
use crate::policy::{Grants, Held};
use crate::session::{ConnectionKey, Principal, SessionKey};
use crate::wire::{Properties, Property};

/// Begins the names that are the server's.
const OWN: &str = "bartizan-";

impl Server {
    /// What is told of a message that was admitted: nothing, where its topic does not ask for it. Out of line: few do.
    #[cold]
    #[inline(never)]
    pub(super) fn stamp(&self, held: Held, key: ConnectionKey, speech: &Speech, now: Time) -> Vec<u8> {
        let image = speech.admissions.grants().map(|grants| grants.image());
        let asks = held.duty.zip(image).is_some_and(|(duty, image)| image.asks_provenance(duty));
        let Some(connection) = self.connections.get(key).filter(|_| asks) else { return Vec::new() };
        let session = connection.open().and_then(|open| self.sessions.get(open.session));
        let listener = self.listeners.get(connection.peer.listener).map(|rules| &*rules.name);
        session.map_or_else(Vec::new, |session| stamp_of(&session.principal, listener, now))
    }

    /// A Will that is about to be published. Its connection is over, so it tells no listener.
    pub(super) fn with_provenance(&self, key: SessionKey, grants: &Grants, will: Message, now: Time) -> Message {
        let image = grants.image();
        if !image.has_provenance() {
            return will;
        }
        let asks = grants.duty(&will.topic()).is_some_and(|duty| image.asks_provenance(duty));
        let session = self.sessions.get(key).filter(|_| asks);
        let stamp = session.map_or_else(Vec::new, |session| stamp_of(&session.principal, None, now));
        will.with_properties(&stamped(will.properties(), &stamp))
    }
}

/// Forwarded properties without those of names that are the server's, and with what it tells itself.
#[cold]
#[inline(never)]
pub(super) fn stamped(forwarded: &[u8], stamp: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(forwarded.len() + stamp.len());
    for property in (Properties { raw: forwarded }).iter() {
        if !matches!(property, Property::UserProperty((name, _)) if is_own(name)) {
            property.write(&mut out);
        }
    }
    out.extend_from_slice(stamp);
    out
}

/// However it is written: who reads it may not care about capitals.
fn is_own(name: &str) -> bool {
    name.as_bytes().get(..OWN.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(OWN.as_bytes()))
}

fn stamp_of(who: &Principal, listener: Option<&str>, now: Time) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let mut tell = |name: &str, value: &str| Property::UserProperty((name, value)).write(&mut out);
    tell("bartizan-identity", &who.id);
    tell("bartizan-method", &who.method);
    if let Some(listener) = listener {
        tell("bartizan-listener", listener);
    }
    tell("bartizan-time", &rfc_3339(now));
    out
}

/// A time as RFC 3339 writes it, in UTC, to the millisecond.
fn rfc_3339(Time(ms): Time) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Years begin in March here, so that a leap day is the last one; 400 of them have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let year = year + 400 * era;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_does() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (1_795_312_800_123, "2026-11-22T02:00:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc_3339(Time(ms)), text);
        }
    }

    #[test]
    fn of_a_clients_properties_those_with_a_name_of_the_servers_go() {
        let all = [
            Property::ContentType("text/plain"),
            Property::UserProperty(("a", "bartizan-time")),
            Property::UserProperty(("bartizan-identity", "forged")),
            Property::UserProperty(("BARTIZAN-Time", "forged")),
            Property::UserProperty(("bartizan", "1")),
            Property::UserProperty(("é-bartizan-", "2")),
            Property::UserProperty(("bartizan-", "forged")),
        ];
        let mut raw = Vec::new();
        all.iter().for_each(|property| property.write(&mut raw));
        let mut kept = Vec::new();
        [0, 1, 4, 5].iter().for_each(|at: &usize| all[*at].write(&mut kept));
        assert_eq!(stamped(&raw, &[]), kept);
        let stamp = stamp_of(&Principal::anonymous(), Some("main"), Time(0));
        assert_eq!(stamped(&raw, &stamp), [kept, stamp].concat());
        assert!(stamped(&[], &[]).is_empty());
    }
}
