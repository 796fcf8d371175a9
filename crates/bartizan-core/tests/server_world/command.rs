//! Commands to the server, and what is answered.

use bartizan_core::policy::CONTROL_TOPIC;
use bartizan_core::server::command::Reply;

use super::World;

impl World {
    /// From now on somebody takes commands.
    pub fn take_commands(&self) {
        self.common.commands().open();
    }

    /// The commands that wait: who sent each, and what it says.
    pub fn commands(&self) -> Vec<(String, String)> {
        let taken = self.common.commands().take(usize::MAX);
        let said = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        taken.iter().map(|each| (each.publisher.client_id.to_string(), said(each.payload.expose()))).collect()
    }

    /// Answers one client, or all.
    pub fn reply(&mut self, client_id: Option<&str>, payload: &str) {
        let topic = format!("{CONTROL_TOPIC}/response").into();
        let reply = Reply { client_id: client_id.map(Box::from), topic, payload: payload.as_bytes().into() };
        for at in 0..self.shards.len() {
            let shard = &mut self.shards[at];
            shard.server.reply(&reply, self.now, &mut shard.fx);
            self.perform(at);
        }
        self.flush_all();
    }
}
