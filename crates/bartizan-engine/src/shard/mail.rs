//! What comes from outside the thread.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bartizan_core::message::Time;
use bartizan_core::server::Forward;
use bartizan_core::server::activity::Activity;

use super::Shard;
use crate::inspecting::Look;
use crate::mailbox::{Mail, Mailbox};

/// Mail, and messages in it, handled per round.
const MAIL_PER_ROUND: usize = 4_096;

impl Shard {
    pub(super) fn collect_mail(&mut self, now: Time) {
        let mut handled = 0;
        while handled < MAIL_PER_ROUND {
            let Some(mail) = self.mailbox().receive() else { return };
            handled += 1;
            match mail {
                Mail::Forwards(forwards, bytes, since) => {
                    self.timing.follow(since);
                    handled += forwards.iter().map(Forward::messages).sum::<usize>();
                    self.forwarded(forwards, bytes, now);
                }
                mail => self.open_mail(mail, now),
            }
            self.relieve(now);
        }
    }

    /// What other shards sent. Those that wait until there is less of it are woken.
    fn forwarded(&mut self, forwards: Vec<Forward>, bytes: usize, now: Time) {
        for forward in forwards {
            let mut rest = Some(forward);
            while let Some(forward) = rest {
                rest = self.server.on_forward(forward, now, &mut self.fx);
                self.relieve(now);
            }
        }
        if self.mailbox().lighten(bytes) {
            self.others().for_each(|mailbox| mailbox.wake());
        }
    }

    fn others(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let lane = self.lane;
        self.shared.mailboxes.iter().enumerate().filter(move |(at, _)| *at != lane).map(|(_, mailbox)| mailbox)
    }

    /// True while other shards are so far behind that reading more would only grow what waits for
    /// them. They say when they are not.
    pub(super) fn others_are_behind(&self) -> bool {
        let behind = |mailbox: &Arc<Mailbox>| {
            if !mailbox.is_congested() {
                return false;
            }
            mailbox.await_room();
            // It may have been emptied before it was told.
            mailbox.is_congested()
        };
        self.others().any(behind)
    }

    fn open_mail(&mut self, mail: Mail, now: Time) {
        match mail {
            Mail::Forwards(forwards, bytes, _) => self.forwarded(forwards, bytes, now),
            Mail::Adopt(adoption, transport, place, pending, connecting) => {
                self.adopt(*adoption, *transport, place, pending, connecting, now);
            }
            Mail::Verdict(connection, verdict) => self.server.verdict(connection, verdict, now, &mut self.fx),
            Mail::Apply(change, done) => {
                self.server.apply(change, now, &mut self.fx);
                self.answer(&done, (), now);
            }
            Mail::Update(update, done) => {
                let ended = self.server.update(&update, now, &mut self.fx);
                self.answer(&done, ended, now);
            }
            Mail::ClearRetained(of, done) => {
                let removed = self.server.clear_retained_of(&of, &mut self.fx);
                self.answer(&done, removed, now);
            }
            Mail::Revoked(listener, revocations) => {
                self.server.end_revoked(listener, &revocations, now, &mut self.fx);
                self.settle(now);
            }
            order @ (Mail::Disconnect(..) | Mail::Ban(..) | Mail::Throttle(..) | Mail::Discard(..)) => {
                self.carry_out(order, now);
            }
            Mail::List(listed, done) => {
                let _ = done.try_send(self.server.list(&listed));
            }
            Mail::Watch(watch, done) => {
                self.server.watch(watch, now, &mut self.fx);
                self.answer(&done, (), now);
            }
            Mail::Observed(with_uses, done) => {
                let _ = done.try_send(self.server.take_observations(with_uses, now));
            }
            Mail::Active(done) => self.tell_activity(&done, now),
            Mail::Reply(reply) => self.server.reply(&reply, now, &mut self.fx),
            Mail::Look(look) => self.look_into(look, now),
            Mail::Trace(trace, done) => self.begin_trace(trace, &done),
            Mail::EndTrace(number) => self.end_trace(number),
            Mail::Status(topics) => {
                for (topic, text) in topics {
                    self.server.publish_own(&topic, text.as_bytes(), true, now, &mut self.fx);
                }
            }
            Mail::Drain(grace_ms, done) => {
                self.server.drain(now, &mut self.fx);
                self.drop_strangers();
                self.drain = Some((now.plus_ms(grace_ms), done));
            }
            Mail::Stop => self.is_running = false,
        }
    }

    /// What is ordered against clients.
    fn carry_out(&mut self, order: Mail, now: Time) {
        match order {
            Mail::Disconnect(client_id, reason, done) => {
                let found = self.server.disconnect(&client_id, reason, now, &mut self.fx);
                self.answer(&done, found, now);
            }
            Mail::Ban(bans, done) => {
                let cut = self.server.ban(bans, now, &mut self.fx);
                self.drop_banned();
                self.answer(&done, cut, now);
            }
            Mail::Throttle(throttles, done) => {
                self.server.throttle(throttles);
                let _ = done.try_send(());
            }
            Mail::Discard(client_id, done) => {
                let ended = self.server.discard(&client_id, now, &mut self.fx);
                self.answer(&done, ended, now);
            }
            _ => {}
        }
    }

    /// Tells whoever waits for what was done, once what follows from it is on its way.
    fn answer<T>(&mut self, done: &SyncSender<T>, answer: T, now: Time) {
        self.settle(now);
        // Whoever waits may have given up.
        let _ = done.try_send(answer);
    }

    fn tell_activity(&mut self, done: &SyncSender<Activity>, now: Time) {
        let activity = self.server.take_activity(now);
        if !activity.fresh.is_empty() || !activity.windows.is_empty() {
            // Their tables are megabytes after a crowd came.
            self.tidying.begin();
        }
        let _ = done.try_send(activity);
    }

    fn look_into(&mut self, look: Look, now: Time) {
        let tell = look(&mut self.server, now, &mut self.fx);
        self.settle(now);
        tell();
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
