"""mosquitto.conf -> settings of ours: listeners, TLS, limits, who is let in; and every difference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bartizan.config.imports import keys
from bartizan.config.imports.directives import Directive
from bartizan.model.difference import Difference, Weight

DYNAMIC_SECURITY = "mosquitto_dynamic_security"
VERSIONS = {"3": "3.1", "4": "3.1.1", "5": "5.0"}
TLS_VERSIONS = {"tlsv1.3": "1.3", "tlsv1.2": "1.2"}
UNITS_S = {"h": 3_600, "d": 86_400, "w": 604_800, "m": 2_592_000, "y": 31_536_000}
PACKET_BYTES = (128, 268_435_460)
PROPERTY_BYTES = 16_384
"""The default of property_bytes_max."""
U16_MAX, U32_MAX = 65_535, 4_294_967_295
NO_BOUND = 2**53


@dataclass(slots=True)
class Place:
    """One listener there, with the lines that are about it."""

    at: Directive | None
    port: str
    host: str
    lines: dict[str, Directive] = field(default_factory=dict)


@dataclass(slots=True)
class Broker:
    """What is left of mosquitto.conf: settings of ours, the files to read beside it, and the differences."""

    settings: dict[str, Any]
    acl_file: Directive | None
    password_file: Directive | None
    dynamic_security: Directive | None
    """Names the state of the dynamic security plugin."""

    anonymous: bool
    qos_max: int
    retain: bool
    differences: list[Difference]


def import_configuration(directives: Sequence[Directive], file: str, base: Path) -> Broker:
    """The settings of these lines. Paths in them are taken to be relative to `base`."""
    return _Import(file, base).done(directives)


class _Import:
    def __init__(self, file: str, base: Path) -> None:
        self._file = file
        self._base = base
        self._told: list[Difference] = []
        self._global: dict[str, Directive] = {}
        self._places: list[Place] = []
        self._default = Place(None, "1883", "")
        self._dynamic: Directive | None = None
        self._plugins: list[Directive] = []
        self._has_bridge = False

    def done(self, directives: Sequence[Directive]) -> Broker:
        """Everything."""
        for directive in directives:
            if not directive.value:
                raise directive.wrong(f"{directive.key} has no value", "Mosquitto refuses it too: correct or remove it")
            self._sort(directive)
        self._tell_plugins()
        places = self._all_places()
        security = [self._security(place) for place in places]
        listeners: dict[str, Any] = {}
        for place, own in zip(places, security, strict=True):
            name, listener = self._listener(place, anonymous=own[2])
            if name:
                listeners[name if name not in listeners else f"{name}-{len(listeners)}"] = listener
        # Beside the settings, where the import writes both.
        settings: dict[str, Any] = {"policy": {"file": "policy.toml"}, "listeners": listeners, **self._broad()}
        acl, passwords = self._one(security, 0, "acl_file"), self._one(security, 1, "password_file")
        anonymous = any("danger_anonymous" in listener for listener in listeners.values())
        self._tell_in_general(passwords, anonymous=anonymous)
        retain = self._global.get("retain_available")
        return Broker(
            settings=settings,
            acl_file=acl,
            password_file=passwords,
            dynamic_security=self._dynamic,
            anonymous=anonymous,
            qos_max=self._qos_max(places),
            retain=retain is None or retain.flag(),
            differences=self._told,
        )

    # ---- lines

    def _sort(self, line: Directive) -> None:
        """Puts a line where it belongs, or tells what becomes of it."""
        key = line.key
        place = self._places[-1] if self._places else self._default
        if key == "listener":
            port, _, host = line.value.partition(" ")
            self._places.append(Place(line, port, host.strip()))
        elif key in keys.LISTENER_KEYS:
            place.lines[key] = line
        elif key in keys.SECURITY_KEYS:
            (place.lines if self._is_per_listener() else self._global)[key] = line
        elif key in keys.GLOBAL_KEYS:
            self._global[key] = line
        elif key.startswith(keys.PLUGIN_OPTIONS):
            self._plugin_option(line)
        elif key in keys.LOST:
            self._lose(line)
        elif key in keys.CHANGED:
            self._tell(Weight.CHANGED, key, line, f"{key} {line.value}", keys.CHANGED[key])
        elif key in keys.NOTED:
            self._tell(Weight.NOTED, "not-about-access", line, f"{key} is not carried over")
        elif key not in keys.BRIDGE_KEYS or not self._has_bridge:
            raise line.wrong(f"{key!r} is no key of mosquitto.conf", "Mosquitto refuses it too: correct or remove it")

    def _is_per_listener(self) -> bool:
        line = self._global.get("per_listener_settings")
        return line is not None and line.flag()

    def _lose(self, line: Directive) -> None:
        self._has_bridge = self._has_bridge or line.key == "connection"
        if "plugin" in line.key:
            self._plugins.append(line)
        elif line.key not in keys.LOST_IF or line.flag() is keys.LOST_IF[line.key]:
            name = "bridge" if line.key == "connection" else line.key
            self._tell(Weight.LOST, name, line, keys.LOST[line.key], "not carried over")

    def _plugin_option(self, line: Directive) -> None:
        plugin = self._plugins[-1] if self._plugins else None
        if plugin is not None and DYNAMIC_SECURITY in plugin.value and line.key.endswith("_config_file"):
            self._dynamic = line

    def _tell_plugins(self) -> None:
        """The dynamic security plugin is known, by the state that its option names; no other is."""
        for line in self._plugins:
            if DYNAMIC_SECURITY not in line.value or self._dynamic is None:
                self._tell(Weight.LOST, "plugin", line, f"a plugin decides: {line.value}", "it is not asked here")

    # ---- listeners

    def _all_places(self) -> list[Place]:
        if not self._places:
            return [self._default]
        # `port` and the like before the first listener make one more.
        return [self._default, *self._places] if "port" in self._default.lines else self._places

    def _is_local_only(self) -> bool:
        return not self._places and "port" not in self._default.lines

    def _security(self, place: Place) -> tuple[Directive | None, Directive | None, bool]:
        """ACL file, password file, and whether a client without a user name is let in."""
        found = place.lines if self._is_per_listener() else self._global
        line = place.lines.get("listener_allow_anonymous") or found.get("allow_anonymous")
        anonymous = line.flag() if line is not None else self._is_local_only()
        return found.get("acl_file"), found.get("password_file"), anonymous

    def _one(self, security: Sequence[tuple[Any, ...]], at: int, key: str) -> Directive | None:
        """The one file of all listeners: what differs by listener cannot become one policy."""
        files = {own[at].value if own[at] else "" for own in security}
        if len(files) > 1:
            line = next(own[at] for own in security if own[at])
            raise line.wrong(f"listeners have different files for {key}", "import each listener from a file of its own")
        return security[0][at]

    def _listener(self, place: Place, *, anonymous: bool) -> tuple[str, dict[str, Any]]:
        found = place.lines
        protocol = found["protocol"].value if "protocol" in found else "mqtt"
        if protocol not in ("mqtt", "websockets"):
            self._tell(Weight.LOST, "protocol", found["protocol"], f"a listener speaks {protocol}", "it is left out")
            return "", {}
        listener: dict[str, Any] = {"bind": self._bind(place)}
        is_tls = "certfile" in found
        if protocol == "websockets":
            listener["protocol"] = "websocket"
            message = "Mosquitto takes a WebSocket at any path"
            self._tell(
                Weight.CHANGED, "websocket-path", found["protocol"], message, "here at /mqtt, see websocket_path"
            )
        if is_tls:
            listener |= self._tls(found)
            anonymous = anonymous and listener.get("authentication") != ["certificate"]
        elif not listener["bind"].startswith("unix:"):
            listener["danger_plaintext"] = f"imported from {self._place(place)}: there is no certfile"
            effect = "carried over as danger_plaintext: everybody on the way reads and changes everything"
            self._tell(Weight.CHANGED, "plaintext", place.at, "a listener has no TLS", effect)
        if anonymous:
            self._anonymous(place, listener)
        if _is_set(found, "use_identity_as_username") and listener.get("authentication") != ["certificate"]:
            message = "user names are taken from certificates that the listener does not ask for"
            line = found["use_identity_as_username"]
            self._tell(Weight.LOST, "use_identity_as_username", line, message, "nobody gets in there; here by password")
        listener |= self._versions(found)
        if limits := self._listener_limits(found):
            listener["limits"] = limits
        if "websockets_origin" in found and protocol == "websockets":
            listener["origins"] = [found["websockets_origin"].value]
        kind = ("wss" if is_tls else "ws") if protocol == "websockets" else ("mqtts" if is_tls else "mqtt")
        return f"{kind}-{place.port if place.port != '0' else 'unix'}", listener

    def _bind(self, place: Place) -> str:
        port = place.lines["port"].value if place.at is None and "port" in place.lines else place.port
        if not port.isdigit():
            raise (place.at or place.lines["port"]).wrong(f"{port!r} is no port", "write listener PORT [ADDRESS]")
        host = place.host or (place.lines["bind_address"].value if "bind_address" in place.lines else "")
        if place.at is not None and port == "0":
            if not host.startswith("/"):
                raise place.at.wrong("port 0 is for a Unix socket with an absolute path", "write listener 0 /path")
            return f"unix:{host}"
        if not host:
            return f"127.0.0.1:{port}" if self._is_local_only() else f"[::]:{port}"
        if not host.replace(".", "").isdigit() and ":" not in host and host != "localhost":
            self._tell(Weight.LOST, "bind-address", place.at, f"the listener is bound to the name {host!r}",
                       "write its address into bind; until then it is bound to 127.0.0.1")  # fmt: skip
            host = "127.0.0.1"
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _tls(self, found: Mapping[str, Directive]) -> dict[str, Any]:
        if "keyfile" not in found:
            raise found["certfile"].wrong("certfile without keyfile", "Mosquitto needs both")
        tls: dict[str, Any] = {
            "certificate_file": self._path(found["certfile"]),
            "key_file": self._path(found["keyfile"]),
        }
        if _is_set(found, "require_certificate"):
            tls |= self._client_certificates(found)
        else:
            tls["client_certificates"] = "off"
        if "tls_version" in found:
            line = found["tls_version"]
            tls["tls_min"] = TLS_VERSIONS.get(line.value, "1.2")
            if line.value not in TLS_VERSIONS:
                self._tell(Weight.CHANGED, "tls-version", line, f"TLS from {line.value}", "here from 1.2")
        return tls

    def _client_certificates(self, found: Mapping[str, Directive]) -> dict[str, Any]:
        tls: dict[str, Any] = {"client_certificates": "required"}
        if "cafile" in found:
            tls["client_ca_file"] = self._path(found["cafile"])
        if "crlfile" in found:
            tls["crl_files"] = [self._path(found["crlfile"])]
        # There a certificate only opens the door, unless its CN is the user name, and then no password is asked for.
        by_name = _is_set(found, "use_identity_as_username")
        tls["authentication"] = ["certificate" if by_name else "password"]
        if by_name:
            message = "the CN of a client's certificate is its user name, whatever CONNECT says"
            effect = "here as well, but there must be an identity of this name, and CONNECT may not claim another"
            self._tell(Weight.CHANGED, "certificates", found["use_identity_as_username"], message, effect)
        return tls

    def _anonymous(self, place: Place, listener: dict[str, Any]) -> None:
        if listener.get("client_certificates") == "required":
            message = "a client with a certificate needs no user name"
            self._tell(Weight.LOST, "certificate-anonymous", place.at, message, "here it is who its certificate says")
            return
        listener["danger_anonymous"] = f"imported from {self._place(place)}: allow_anonymous is true"
        effect = "carried over as danger_anonymous; they have the role `anonymous`"
        self._tell(Weight.CHANGED, "anonymous", place.at, "clients without a user name are let in", effect)

    def _versions(self, found: Mapping[str, Directive]) -> dict[str, Any]:
        line = found.get("accept_protocol_versions")
        if line is None:
            return {}
        wanted = [word.strip() for word in line.value.split(",")]
        if any(word not in VERSIONS for word in wanted):
            raise line.wrong("versions are 3, 4 and 5", "write accept_protocol_versions 4, 5")
        return {"mqtt_versions": [VERSIONS[word] for word in wanted]}

    def _listener_limits(self, found: Mapping[str, Directive]) -> dict[str, Any]:
        limits: dict[str, Any] = {}
        if "max_connections" in found and found["max_connections"].whole() > 0:
            limits["connections_max"] = found["max_connections"].whole()
        if "max_topic_alias" in found:
            limits["topic_alias_max"] = _within(found["max_topic_alias"], 0, U16_MAX)
        return limits

    def _qos_max(self, places: Sequence[Place]) -> int:
        found = [place.lines["max_qos"] for place in places if "max_qos" in place.lines]
        wanted = {_within(line, 0, 2) for line in found} | ({2} if len(found) < len(places) else set())
        if len(wanted) > 1:
            message = "listeners have different highest QoS"
            self._tell(Weight.LOST, "max_qos", found[0], message, f"all may publish with up to {max(wanted)}")
        return max(wanted)

    # ---- the broker as a whole

    def _broad(self) -> dict[str, Any]:
        limits: dict[str, Any] = {}
        for key, of in _LIMITS.items():
            if key in self._global:
                limits |= of(self._global[key])
        self._tell_limits()
        broad: dict[str, Any] = {"limits": limits} if limits else {}
        if "sys_interval" in self._global:
            broad["broker"] = {"sys_interval_s": float(_within(self._global["sys_interval"], 0, 3_600))}
        return broad

    def _tell_limits(self) -> None:
        if line := self._global.get("message_size_limit"):
            effect = "here packet_bytes_max is this much and 64 KiB for the topic and properties"
            self._tell(Weight.CHANGED, "message_size_limit", line, "the payload is bounded", effect)
        if line := self._global.get("persistent_client_expiration"):
            effect = "here session_expiry_max_s: no Session lives longer, whatever its client asks for"
            self._tell(Weight.CHANGED, "persistent_client_expiration", line, "old Sessions are removed", effect)
        line = self._global.get("check_retain_source")
        if line is not None and not line.flag():
            message = "a Retained Message is sent though its publisher may publish it no more"
            self._tell(Weight.CHANGED, "check_retain_source", line, message, "here it never is")

    def _tell_in_general(self, passwords: Directive | None, *, anonymous: bool) -> None:
        message = "what mosquitto.conf does not bound is mostly without bound"
        self._tell(
            Weight.CHANGED, "bounds", None, message, "here everything has a default: see [limits] of the settings"
        )
        message = "Mosquitto speaks MQTT 3.1 too"
        self._tell(Weight.CHANGED, "mqtt-3.1", None, message, "here where mqtt_versions of a listener names it")
        if anonymous and passwords is None and self._dynamic is None:
            message = "there is no password_file, so a client may call itself by any user name"
            effect = "here a name is proved: who presents a user name is refused until he is enrolled"
            self._tell(Weight.LOST, "unverified-names", None, message, effect)

    def _path(self, line: Directive) -> str:
        return str(self._base / line.value)

    def _place(self, place: Place) -> str:
        return f"{place.at.file} line {place.at.line}" if place.at else self._file

    def _tell(self, weight: Weight, name: str, line: Directive | None, message: str, effect: str = "") -> None:
        file, number = (line.file, line.line) if line else (self._file, 0)
        self._told.append(Difference(weight, name, file, number, message, effect))


def _is_set(found: Mapping[str, Directive], key: str) -> bool:
    return key in found and found[key].flag()


def _within(line: Directive, low: int, high: int) -> int:
    return min(max(line.whole(), low), high)


def _expiry(line: Directive) -> dict[str, Any]:
    number, unit = line.value[:-1], line.value[-1:]
    if not number.isdigit() or unit not in UNITS_S:
        raise line.wrong(f"{line.key} is a number with h, d, w, m or y", f"not {line.value!r}")
    return {"session_expiry_max_s": min(int(number) * UNITS_S[unit], U32_MAX)}


def _packets(line: Directive, room: int) -> dict[str, Any]:
    wanted = line.whole()
    if not wanted:
        return {}
    most = min(max(wanted + room, PACKET_BYTES[0]), PACKET_BYTES[1])
    # Properties are a part of the packet.
    return {"packet_bytes_max": most} | ({"property_bytes_max": most} if most < PROPERTY_BYTES else {})


_LIMITS: Mapping[str, Callable[[Directive], dict[str, Any]]] = {
    "message_size_limit": lambda line: _packets(line, 64 * 1024),
    "max_packet_size": lambda line: _packets(line, 0),
    "max_inflight_messages": lambda line: {
        name: min(line.whole() or U16_MAX, U16_MAX) for name in ("inflight_max", "receive_max")
    },
    "max_queued_messages": lambda line: {"queued_messages_max": line.whole() or NO_BOUND},
    "max_queued_bytes": lambda line: {"queued_bytes_max": line.whole() or NO_BOUND},
    "max_keepalive": lambda line: {"keep_alive_max_s": _within(line, 0, U16_MAX)},
    "persistent_client_expiration": _expiry,
}
