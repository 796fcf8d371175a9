//! Commands that clients publish for the broker: taken from the lane of all shards, answered through each of them.

use std::sync::Arc;

use bartizan_core::server::command::{Command, Reply};

use crate::engine::Engine;
use crate::mailbox::Mail;

impl Engine {
    /// Commands that wait, oldest first. Of `wake_fd` nothing is silenced by it.
    #[must_use]
    pub fn take_control(&self, limit: usize) -> Vec<Command> {
        self.with_running(|running| running.common.commands().take(limit)).unwrap_or_default()
    }

    /// Answers one client, or all that are subscribed; nobody where the topic is not below `$CONTROL/`.
    pub fn reply(&self, client_id: Option<&str>, topic: &str, payload: &[u8]) {
        let Some(shared) = self.shared().filter(|_| topic.starts_with("$CONTROL/")) else { return };
        let reply = Reply { client_id: client_id.map(Box::from), topic: topic.into(), payload: payload.into() };
        let reply = Arc::new(reply);
        for mailbox in &shared.mailboxes {
            mailbox.send(Mail::Reply(Arc::clone(&reply)));
        }
    }
}
