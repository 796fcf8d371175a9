//! The proof that a message was admitted. Routing takes nothing else (I2), so a path that forgets
//! the check does not compile.

use std::ops::Deref;
use std::sync::Arc;

use super::bind::Grants;
use super::condition::Asked;
use super::contract::{Held, StagedDuty};
use super::decide::Decision;
use crate::message::Message;
use crate::parcel::{Carried, Parcel};
use crate::topic::TopicName;
use crate::wire::{Publish, QoS};

/// A message that a decision admitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorized<T>(T);

/// A message that a decision refused, and the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused by the policy: {}", .0.why.as_str())]
pub struct Denied(pub Decision);

impl<T> Authorized<T> {
    /// The message, without its proof.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Authorized<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Authorized<Publish<'_>> {
    /// The same message in the form that is held, to be sent to another shard; `None` if it is
    /// not the message that was decided upon.
    #[must_use]
    pub fn held(&self, message: Arc<Message>) -> Option<Authorized<Arc<Message>>> {
        let same = message.topic().as_str() == self.0.topic
            && message.qos == self.0.qos
            && message.retain == self.0.retain
            && message.payload().len() == self.0.payload.len();
        same.then_some(Authorized(message))
    }
}

impl Authorized<Parcel> {
    /// A parcel that begins with an admitted message. Only what is admitted can be added.
    #[must_use]
    pub fn of(message: &Authorized<Arc<Message>>) -> Authorized<Parcel> {
        let mut parcel = Parcel::default();
        parcel.push(&Carried::of(&message.0));
        Authorized(parcel)
    }

    /// Copies an admitted message in. What was decided upon is taken from the proof.
    pub fn add(&mut self, admitted: &Authorized<Publish<'_>>, message: &Carried<'_>) {
        let Publish { topic, payload, qos, retain, .. } = admitted.0;
        self.0.push(&Carried { topic: TopicName::assume_parsed(topic), payload, qos, retain, ..*message });
    }
}

impl Authorized<Message> {
    /// A message of the server's own, as those of `$SYS`. Never for what came from a client.
    #[must_use]
    pub fn by_server(message: Message) -> Authorized<Message> {
        Authorized(message)
    }

    /// The same message, to be held in more than one place.
    #[must_use]
    pub fn shared(self) -> Authorized<Arc<Message>> {
        Authorized(Arc::new(self.0))
    }
}

impl Grants {
    /// Admits a PUBLISH packet or refuses it. `topic` is its Topic Name once a Topic Alias is
    /// resolved; the admitted packet carries it.
    ///
    /// # Errors
    /// `Denied` with the decision.
    pub fn authorize<'a>(&self, publish: Publish<'a>, topic: TopicName<'a>) -> Result<Authorized<Publish<'a>>, Denied> {
        Self::proof(publish, topic, self.decide(&publish, &topic))
    }

    fn decide(&self, publish: &Publish<'_>, topic: &TopicName<'_>) -> Decision {
        let asked = Asked::plain(publish.qos, publish.retain, publish.payload.len());
        // Properties are looked at only where a rule asks for them.
        let asked = if self.is_about_content() { asked.with(publish.properties) } else { asked };
        self.publish(topic, &asked)
    }

    fn proof<'a>(
        publish: Publish<'a>,
        topic: TopicName<'a>,
        decision: Decision,
    ) -> Result<Authorized<Publish<'a>>, Denied> {
        match decision.allow {
            true => Ok(Authorized(Publish { topic: topic.as_str(), ..publish })),
            false => Err(Denied(decision)),
        }
    }

    /// Admits a message that was held, as a Will that fires: decided under the policy of now.
    ///
    /// # Errors
    /// `Denied` with the decision.
    pub fn authorize_message(&self, message: Message) -> Result<Authorized<Message>, Denied> {
        let decision = self.will(&message.topic(), &Asked::from(&message));
        if decision.allow { Ok(Authorized(message)) } else { Err(Denied(decision)) }
    }
}

/// Admits the PUBLISH packets that one client sends in a row. A decision is a function of grants, topic,
/// QoS and RETAIN (I5), and of a message's content where a rule is about that: what was admitted under the
/// same four is not decided again where none is.
#[derive(Debug, Default)]
pub struct Admissions {
    grants: Option<Arc<Grants>>,
    /// What was admitted last.
    last: Option<(QoS, bool)>,
    topic: String,
    /// What is left to be looked at in messages to the topic that was asked for last.
    held: Option<Held>,
    /// A decision that admitted, until somebody asks for it.
    taken: Option<Decision>,
}

impl Admissions {
    /// Decides under these grants from now on.
    pub fn begin(&mut self, grants: Arc<Grants>) {
        self.grants = Some(grants);
        self.last = None;
    }

    /// Admits nothing any more.
    pub fn end(&mut self) {
        self.grants = None;
        self.last = None;
    }

    /// The policy that decides; `None` before `begin`.
    #[must_use]
    pub fn grants(&self) -> Option<&Arc<Grants>> {
        self.grants.as_ref()
    }

    /// What is left to be looked at in what was admitted last: nothing, where its topic asks for nothing.
    #[inline]
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        self.held
    }

    /// Has messages to the topic that was asked for last looked at by a staged policy as well.
    pub fn hold_to_staged(&mut self, staged: StagedDuty) {
        let duty = self.held.and_then(|held| held.duty);
        self.held = Some(Held { duty, staged: Some(staged) });
    }

    /// The decision by which the last `authorize` admitted, if it took one: none where it knew the answer.
    #[inline]
    pub fn take_decision(&mut self) -> Option<Decision> {
        self.taken.take()
    }

    /// As `Grants::authorize`. Before `begin` nothing is admitted.
    ///
    /// # Errors
    /// `Denied` with the decision.
    #[inline]
    pub fn authorize<'a>(
        &mut self,
        publish: Publish<'a>,
        topic: TopicName<'a>,
    ) -> Result<Authorized<Publish<'a>>, Denied> {
        if self.last == Some((publish.qos, publish.retain)) && self.topic == topic.as_str() {
            return Ok(Authorized(Publish { topic: topic.as_str(), ..publish }));
        }
        self.last = None;
        let Some(grants) = &self.grants else { return Err(Denied(Decision::NOBODY)) };
        let decision = grants.decide(&publish, &topic);
        let admitted = Grants::proof(publish, topic, decision)?;
        self.taken = Some(decision);
        self.held = grants.duty(&topic).map(|duty| Held { duty: Some(duty), staged: None });
        if grants.is_about_content() {
            return Ok(admitted);
        }
        self.last = Some((publish.qos, publish.retain));
        self.topic.clear();
        self.topic.push_str(topic.as_str());
        Ok(admitted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Duty, Enforce, Identity, Image, OpenWindows, Why};
    use super::*;
    use crate::message::Publisher;
    use crate::parcel::Place;
    use crate::wire::Properties;

    const IMAGE: &str = r#"{"format":3,"undeclared":"warn","roles":[{"name":"x","limits":{},"rules":[{"name":"r",
        "effect":"permit","actions":["publish"],"pattern":[{"lit":"a"}],"qos_max":1,"retain":false}]}]}"#;

    fn grants() -> Grants {
        let image = Arc::new(Image::load(IMAGE.as_bytes()).unwrap());
        let who = Identity { id: "i", client_id: "c", roles: &[Arc::from("x")], ..Identity::default() };
        image.bind(&who, &OpenWindows::default())
    }

    fn publish(retain: bool) -> Publish<'static> {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain,
            topic: "",
            packet_id: None,
            properties: Properties::default(),
            payload: b"1",
        }
    }

    fn held(topic: &str, payload: &[u8], qos: QoS, retain: bool) -> Message {
        let publisher = Arc::new(Publisher { identity: Arc::from("i"), client_id: Arc::from("c") });
        Message::new(&TopicName::parse(topic).unwrap(), &[], payload, qos, retain, None, publisher)
    }

    #[test]
    fn what_is_admitted_carries_the_topic_it_was_decided_by() {
        let admitted = grants().authorize(publish(false), TopicName::parse("a").unwrap()).unwrap();
        assert_eq!((admitted.topic, admitted.payload), ("a", &b"1"[..]));
        assert!(admitted.held(Arc::new(held("a", b"1", QoS::AtMostOnce, false))).is_some());
        for other in [
            held("b", b"1", QoS::AtMostOnce, false),
            held("a", b"12", QoS::AtMostOnce, false),
            held("a", b"1", QoS::AtLeastOnce, false),
            held("a", b"1", QoS::AtMostOnce, true),
        ] {
            assert!(admitted.held(Arc::new(other)).is_none());
        }
        assert!(grants().authorize_message(held("a", b"1", QoS::AtMostOnce, false)).is_ok());
        assert!(grants().authorize_message(held("b", b"1", QoS::AtMostOnce, false)).is_err());
    }

    #[test]
    fn whatever_else_is_added_to_a_parcel_what_was_decided_upon_is_in_it() {
        let admitted = grants().authorize(publish(false), TopicName::parse("a").unwrap()).unwrap();
        let first = admitted.held(Arc::new(held("a", b"0", QoS::AtMostOnce, false))).unwrap();
        let mut parcel = Authorized::<Parcel>::of(&first);
        let other = held("other", b"2", QoS::ExactlyOnce, true);
        parcel.add(&admitted, &Carried::of(&other));
        let mut place = Place::default();
        assert_eq!(parcel.next(&mut place).map(|carried| carried.payload), Some(&b"0"[..]));
        let carried = parcel.next(&mut place).unwrap();
        assert_eq!((carried.topic.as_str(), carried.payload), ("a", &b"1"[..]));
        assert_eq!((carried.qos, carried.retain), (QoS::AtMostOnce, false));
    }

    #[test]
    fn what_was_admitted_admits_nothing_else_and_nothing_under_other_grants() {
        let mut admissions = Admissions::default();
        let topic = |text| TopicName::parse(text).unwrap();
        assert!(admissions.authorize(publish(false), topic("a")).is_err());
        admissions.begin(Arc::new(grants()));
        for _ in 0..3 {
            assert_eq!(admissions.authorize(publish(false), topic("a")).unwrap().topic, "a");
        }
        assert!(admissions.authorize(publish(true), topic("a")).is_err());
        assert!(admissions.authorize(Publish { qos: QoS::ExactlyOnce, ..publish(false) }, topic("a")).is_err());
        assert!(admissions.authorize(publish(false), topic("a")).is_ok());
        assert!(admissions.authorize(publish(false), topic("b")).is_err());
        assert!(admissions.authorize(publish(false), topic("a")).is_ok());
        admissions.begin(Arc::new(Arc::new(Image::deny_all()).no_grants()));
        assert!(admissions.authorize(publish(false), topic("a")).is_err());
        admissions.begin(Arc::new(grants()));
        assert!(admissions.authorize(publish(false), topic("a")).is_ok());
        admissions.end();
        assert!(admissions.authorize(publish(false), topic("a")).is_err());
    }

    #[test]
    fn it_is_known_under_what_somebody_is_admitted_and_what_is_left_to_be_looked_at() {
        let mut admissions = Admissions::default();
        let topic = |text| TopicName::parse(text).unwrap();
        assert!(admissions.grants().is_none() && admissions.held().is_none());
        let granted = Arc::new(grants());
        admissions.begin(Arc::clone(&granted));
        assert!(admissions.grants().is_some_and(|grants| Arc::ptr_eq(grants, &granted)));
        admissions.authorize(publish(false), topic("a")).unwrap();
        let duty = Some(Duty::Undeclared(Enforce::Warn));
        assert_eq!(admissions.held(), Some(Held { duty, staged: None }));
        assert!(admissions.take_decision().is_some_and(|decision| decision.allow && decision.rule.is_some()));
        // Known by now, so that none is taken.
        admissions.authorize(publish(false), topic("a")).unwrap();
        assert_eq!((admissions.take_decision(), admissions.held()), (None, Some(Held { duty, staged: None })));
        let staged = StagedDuty(Some(Duty::Undeclared(Enforce::Reject)));
        admissions.hold_to_staged(staged);
        assert_eq!(admissions.held(), Some(Held { duty, staged: Some(staged) }));
        admissions.end();
        assert!(admissions.grants().is_none());
    }

    #[test]
    fn what_is_refused_says_why() {
        let refused = grants().authorize(publish(true), TopicName::parse("a").unwrap()).unwrap_err();
        assert_eq!(refused.0.why, Why::RetainNotAllowed);
        assert!(grants().authorize(publish(false), TopicName::parse("b").unwrap()).is_err());
    }
}
