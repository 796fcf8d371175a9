//! RMQTT on the address of its first argument, anonymous, with queues as large as it lets them be.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use rmqtt::Result;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_default();
    let context = ServerContext::new().mqtt_max_sessions(1_000_000).busy_check_enable(false).build().await;
    let listener = Builder::new()
        .name("bench")
        .laddr(address.parse()?)
        .backlog(4096)
        .nodelay(true)
        .allow_anonymous(true)
        .max_connections(1_000_000)
        .max_handshaking_limit(1_000_000)
        .max_packet_size(8 * 1024 * 1024)
        .max_inflight(NonZeroU16::MAX)
        .max_mqueue_len(1_000_000)
        .mqueue_rate_limit(NonZeroU32::MAX, Duration::from_secs(1))
        .max_subscriptions(0)
        .bind()?
        .tcp()?;
    MqttServer::new(context).listener(listener).build().run().await?;
    Ok(())
}
