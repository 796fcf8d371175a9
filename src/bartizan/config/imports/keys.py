"""What becomes of each key of mosquitto.conf (2.0 and 2.1): a table, so that none is forgotten.

A key that no table names is an error, as it is in Mosquitto.
"""

from collections.abc import Mapping

LISTENER_KEYS = frozenset(
    {
        "bind_address",
        "port",
        "socket_domain",
        "protocol",
        "max_connections",
        "accept_protocol_versions",
        "cafile",
        "certfile",
        "keyfile",
        "crlfile",
        "require_certificate",
        "tls_version",
        "use_identity_as_username",
        "websockets_origin",
        "max_qos",
        "max_topic_alias",
        "listener_allow_anonymous",
    }
)
"""Of one listener, and carried over."""

SECURITY_KEYS = frozenset({"acl_file", "password_file", "allow_anonymous"})
"""Of the broker, or of a listener where `per_listener_settings` is true."""

GLOBAL_KEYS = frozenset(
    {
        "per_listener_settings",
        "max_packet_size",
        "message_size_limit",
        "max_inflight_messages",
        "max_queued_messages",
        "max_queued_bytes",
        "max_keepalive",
        "persistent_client_expiration",
        "retain_available",
        "sys_interval",
        "check_retain_source",
    }
)
"""Of the broker, and carried over."""

LOST: Mapping[str, str] = {
    "mount_point": "topics of a listener's clients are put below a topic of their own",
    "bind_interface": "the listener is bound to an interface",
    "capath": "CA certificates are read from a directory",
    "http_dir": "files are served over HTTP",
    "enable_proxy_protocol": "PROXY headers are believed from everybody; set proxy_protocol_from of the listener",
    "psk_hint": "clients prove themselves by pre-shared keys of TLS",
    "psk_file": "clients prove themselves by pre-shared keys of TLS",
    "use_subject_as_username": "the subject of a client's certificate is its user name",
    "use_username_as_clientid": "the user name takes the place of the Client Identifier",
    "clientid_prefixes": "Client Identifiers have to begin with one of these",
    "allow_zero_length_clientid": "a client must bring a Client Identifier",
    "memory_limit": "the broker's memory is bounded",
    "global_max_clients": "clients and Sessions are bounded over all listeners",
    "global_max_connections": "Network Connections are bounded over all listeners",
    "auth_plugin": "a plugin decides",
    "plugin": "a plugin decides",
    "plugin_load": "a plugin decides",
    "plugin_use": "a plugin decides",
    "global_plugin": "a plugin decides",
    "connection": "messages are exchanged with another broker (a bridge)",
}
"""Cannot be carried over: the name of the loss is the key, and this is what it did."""

LOST_IF: Mapping[str, bool] = {
    "use_subject_as_username": True,
    "use_username_as_clientid": True,
    "allow_zero_length_clientid": False,
    "enable_proxy_protocol": True,
}
"""Flags that are a loss only with this value: with the other they say what is the case here."""

CHANGED: Mapping[str, str] = {
    "ciphers": "cipher suites are chosen by Bartizan: those of TLS 1.2 and 1.3 that are safe",
    "ciphers_tls1.3": "cipher suites are chosen by Bartizan: those of TLS 1.2 and 1.3 that are safe",
    "dhparamfile": "key exchange is by elliptic curves only",
    "disable_client_cert_date_checks": "an expired client certificate is always refused",
    "tls_engine": "keys are read from files",
    "tls_engine_kpass_sha1": "keys are read from files",
    "tls_keyform": "keys are read from files",
    "auto_id_prefix": "an assigned Client Identifier begins with the identity's name",
    "queue_qos0_messages": "QoS 0 messages are not kept for clients that are away",
    "upgrade_outgoing_qos": "a message is sent with the lower QoS of PUBLISH and Subscription [MQTT-3.3.4-2]",
    "allow_duplicate_messages": "a client with overlapping Subscriptions gets a message once",
    "enable_control_api": "there is no $CONTROL API",
}
"""Carried over only in this sense."""

NOTED = frozenset(
    {
        "autosave_interval",
        "autosave_on_changes",
        "connection_messages",
        "log_dest",
        "log_facility",
        "log_timestamp",
        "log_timestamp_format",
        "log_type",
        "max_log_entries",
        "persistence",
        "persistence_file",
        "persistence_location",
        "pid_file",
        "retry_interval",
        "set_tcp_nodelay",
        "store_clean_interval",
        "user",
        "websockets_headers_size",
        "websockets_log_level",
    }
)
"""About the process, its log or its store: nobody gains or loses a right by them."""

PLUGIN_OPTIONS = ("plugin_opt_", "auth_opt_")
"""Belong to the plugin before them, which is told."""

BRIDGE_KEYS = frozenset(
    {
        "address",
        "addresses",
        "bridge_alpn",
        "bridge_attempt_unsubscribe",
        "bridge_bind_address",
        "bridge_cafile",
        "bridge_capath",
        "bridge_certfile",
        "bridge_clean_session",
        "bridge_identity",
        "bridge_insecure",
        "bridge_keyfile",
        "bridge_max_packet_size",
        "bridge_max_topic_alias",
        "bridge_outgoing_retain",
        "bridge_protocol_version",
        "bridge_psk",
        "bridge_receive_maximum",
        "bridge_reload_type",
        "bridge_require_ocsp",
        "bridge_session_expiry_interval",
        "bridge_tcp_keepalive",
        "bridge_tcp_user_timeout",
        "bridge_tls_use_os_certs",
        "bridge_tls_version",
        "cleansession",
        "clientid",
        "idle_timeout",
        "keepalive_interval",
        "local_cleansession",
        "local_clientid",
        "local_password",
        "local_username",
        "notification_topic",
        "notifications",
        "notifications_local_only",
        "password",
        "remote_clientid",
        "remote_password",
        "remote_username",
        "restart_timeout",
        "round_robin",
        "start_type",
        "threshold",
        "topic",
        "try_private",
        "username",
    }
)
"""Belong to the `connection` before them, which is told."""
