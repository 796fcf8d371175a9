//! What comes from outside the thread.

use bartizan_core::message::Time;

use super::Shard;
use crate::mailbox::Mail;

/// Mail handled per round.
const MAIL_PER_ROUND: usize = 4_096;

impl Shard {
    pub(super) fn collect_mail(&mut self, now: Time) {
        for _ in 0..MAIL_PER_ROUND {
            let Some(mail) = self.mailbox().receive() else { return };
            self.open_mail(mail, now);
            self.relieve(now);
        }
    }

    fn open_mail(&mut self, mail: Mail, now: Time) {
        match mail {
            Mail::Forward(forward) => self.forwarded(forward, now),
            Mail::Adopt(adoption, transport, place, pending) => {
                self.adopt(*adoption, *transport, place, pending, now);
            }
            Mail::Verdict(connection, verdict) => self.server.verdict(connection, verdict, now, &mut self.fx),
            Mail::Apply(change, done) => {
                self.server.apply(change, now, &mut self.fx);
                self.settle(now);
                // Whoever waits may have given up.
                let _ = done.try_send(());
            }
            Mail::Disconnect(client_id, reason, done) => {
                let found = self.server.disconnect(&client_id, reason, now, &mut self.fx);
                self.settle(now);
                let _ = done.try_send(found);
            }
            Mail::List(after, limit, done) => {
                let _ = done.try_send(self.server.list(&after, limit));
            }
            Mail::Status(topics) => {
                for (topic, text) in topics {
                    self.server.publish_own(&topic, text.as_bytes(), true, now, &mut self.fx);
                }
            }
            Mail::Drain(grace_ms, done) => {
                self.server.drain(now, &mut self.fx);
                self.drain = Some((now.plus_ms(grace_ms), done));
            }
            Mail::Stop => self.is_running = false,
        }
    }

    /// Tells whoever drains that all are gone, or that time is up.
    pub(super) fn check_drain(&mut self, now: Time) {
        let Some((deadline, _)) = &self.drain else { return };
        let is_over = (self.drivers.is_empty() && self.deferred.is_empty()) || *deadline <= now;
        if is_over && let Some((_, done)) = self.drain.take() {
            let _ = done.try_send(());
        }
    }
}
