//! Messages of the server's own: what it tells below `$SYS/`, and what it answers to commands.

use std::sync::Arc;

use super::command::Reply;
use super::route::{Outgoing, Receiver};
use super::{Effects, Server};
use crate::message::{Message, Time};
use crate::policy::Authorized;
use crate::topic::TopicName;
use crate::wire::QoS;

impl Server {
    /// A message of the server's own, as those of `$SYS`.
    pub fn publish_own(&mut self, topic: &str, payload: &[u8], retain: bool, now: Time, fx: &mut Effects) {
        let Ok(topic) = TopicName::parse(topic) else { return };
        let nobody = Arc::clone(&self.nobody);
        let message = Message::new(&topic, &[], payload, QoS::AtMostOnce, retain, None, nobody);
        let message = Authorized::by_server(message).shared();
        if retain {
            let weight = u32::try_from(message.weight_bytes()).unwrap_or(u32::MAX);
            self.common.retained_mut().store.set(&topic, Arc::clone(&message), weight);
        }
        self.route_message(&message, now, fx);
    }

    /// Sends an answer, with QoS 0 and not retained, to those on this shard whom it is for and who are subscribed.
    pub fn reply(&mut self, reply: &Reply, now: Time, fx: &mut Effects) {
        let Ok(topic) = TopicName::parse(&reply.topic) else { return };
        let nobody = Arc::clone(&self.nobody);
        let message = Message::new(&topic, &[], &reply.payload, QoS::AtMostOnce, false, None, nobody);
        let message = Authorized::by_server(message).shared();
        let mut out = Outgoing::held(&message);
        let Some(client_id) = &reply.client_id else {
            let mut found = false;
            self.route_here(&mut out, None, None, now, fx, &mut found);
            return;
        };
        let Some(session) = self.by_client_id.get(&**client_id).copied() else { return };
        let mut parts = Vec::new();
        self.index.for_each_match(&topic, &mut |receiver, part| {
            if receiver == Receiver::Session(session) {
                parts.push(*part);
            }
        });
        self.frame.begin(true);
        self.deliver(session, &parts, &mut out, false, now, fx);
    }
}
