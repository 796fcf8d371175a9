"""The limits a role may set, and the least and greatest value of each."""

LIMITS: dict[str, tuple[int, int]] = {
    "publish_rate_per_s": (1, 10_000_000),
    "publish_bytes_per_s": (1, 1 << 40),
    "subscriptions_max": (0, 1_000_000),
    "queued_messages_max": (0, 100_000_000),
    "queued_bytes_max": (0, 1 << 40),
    "inflight_max": (1, 65_535),
    "packet_bytes_max": (64, 268_435_460),
    "retained_messages_max": (0, 1_000_000_000),
    "retained_bytes_max": (0, 1 << 40),
    "connections_max": (0, 10_000_000),
}
