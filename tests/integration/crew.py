"""Four real clients with one face: paho, aiomqtt, MQTT.js (over WSS) and Mosquitto's two programs.

What a test says to a `Client` each of them does in its own way. `Berth` is where and as whom.
"""

import asyncio
import base64
import json
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import aiomqtt
from paho.mqtt.packettypes import PacketTypes

from tests.integration.recorder import VERSIONS, WITHIN_S, Place, Proof, Recorder, Will, properties

T = TypeVar("T")
DRIVER = Path(__file__).parent / "node" / "client.mjs"
SESSION_EXPIRY_S = 600


@dataclass(frozen=True, slots=True)
class Berth:
    """Where a client connects, as whom, and in which version."""

    place: Place
    proof: Proof
    client_id: str
    version: str = "5"
    clean: bool = True
    will: Will | None = None


@dataclass(frozen=True, slots=True, order=True)
class Got:
    """One received message, in the terms that all clients share."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False


class Client(ABC):
    """A connected client."""

    @abstractmethod
    def subscribe(self, filter: str, qos: int = 2) -> None:
        """Subscribes; a refusal fails."""

    @abstractmethod
    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publishes; returns once it is acknowledged."""

    @abstractmethod
    def receive(self, count: int = 1, within_s: float = WITHIN_S) -> list[Got]:
        """The next messages, exactly these are taken."""

    @abstractmethod
    def drop(self) -> None:
        """Ends without DISCONNECT."""

    @abstractmethod
    def close(self) -> None:
        """Ends with DISCONNECT; nothing is left of it here."""


class Inbox:
    """Messages between the thread that reads them and the test that waits for them."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._got: list[Got] = []

    def put(self, message: Got) -> None:
        with self._told:
            self._got.append(message)
            self._told.notify_all()

    def take(self, count: int, within_s: float) -> list[Got]:
        with self._told:
            enough = self._told.wait_for(lambda: len(self._got) >= count, within_s)
            assert enough, f"{len(self._got)} of {count} messages in {within_s:g} s: {self._got[-3:]}"
            taken, self._got = self._got[:count], self._got[count:]
            return taken


class PahoClient(Client):
    """paho-mqtt."""

    def __init__(self, berth: Berth) -> None:
        more: dict[str, Any] = {}
        if berth.version == "5" and not berth.clean:
            more["SessionExpiryInterval"] = SESSION_EXPIRY_S
        self._recorder = Recorder(
            berth.place,
            berth.client_id,
            version=berth.version,
            proof=berth.proof,
            clean=berth.clean,
            will=berth.will,
            **more,
        ).open()

    def subscribe(self, filter: str, qos: int = 2) -> None:
        assert self._recorder.subscribe(filter, qos=qos) == [qos]

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        assert self._recorder.publish(topic, payload, qos, retain) < 0x80

    def receive(self, count: int = 1, within_s: float = WITHIN_S) -> list[Got]:
        return [Got(one.topic, one.payload, one.qos, one.retain) for one in self._recorder.receive(count, within_s)]

    def drop(self) -> None:
        self._recorder.drop()

    def close(self) -> None:
        self._recorder.close()


class AiomqttClient(Client):
    """aiomqtt, on an event loop of its own."""

    def __init__(self, berth: Berth) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._inbox = Inbox()
        self._open = True
        self._client = self._call(self._connect(berth))
        self._reader = asyncio.run_coroutine_threadsafe(self._read(), self._loop)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)

    async def _connect(self, berth: Berth) -> aiomqtt.Client:
        proof, will = berth.proof, berth.will
        more: dict[str, Any] = {"clean_session": berth.clean}
        if berth.version == "5":
            expiry = {} if berth.clean else {"SessionExpiryInterval": SESSION_EXPIRY_S}
            more = {"clean_start": berth.clean, "properties": properties(PacketTypes.CONNECT, expiry)}
        client = aiomqtt.Client(
            berth.place.host,
            berth.place.port,
            username=proof.user_name,
            password=proof.password,
            identifier=berth.client_id,
            protocol=aiomqtt.ProtocolVersion(VERSIONS[berth.version]),
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain) if will else None,
            tls_params=aiomqtt.TLSParameters(
                ca_certs=berth.place.ca_file,
                certfile=str(proof.certificate_file) if proof.certificate_file else None,
                keyfile=str(proof.key_file) if proof.key_file else None,
            ),
            **more,
        )
        return await client.__aenter__()

    async def _read(self) -> None:
        async for one in self._client.messages:
            assert isinstance(one.payload, bytes)
            self._inbox.put(Got(str(one.topic), one.payload, one.qos, one.retain))

    def subscribe(self, filter: str, qos: int = 2) -> None:
        (granted,) = self._call(self._client.subscribe(filter, qos))
        assert getattr(granted, "value", granted) == qos

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        self._call(self._client.publish(topic, payload, qos, retain))

    def receive(self, count: int = 1, within_s: float = WITHIN_S) -> list[Got]:
        return self._inbox.take(count, within_s)

    def drop(self) -> None:
        self._end(says_goodbye=False)

    def close(self) -> None:
        self._end(says_goodbye=True)

    def _end(self, *, says_goodbye: bool) -> None:
        if not self._open:
            return
        self._open = False
        self._reader.cancel()
        self._call(self._leave(says_goodbye=says_goodbye))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_S)
        self._loop.close()

    async def _leave(self, *, says_goodbye: bool) -> None:
        if says_goodbye:
            await self._client.__aexit__(None, None, None)
            return
        self._client._client._sock_close()
        self._client._lock.release()


class MqttJsClient(Client):
    """MQTT.js, over WSS, in a Node.js of its own. It connects again by itself."""

    def __init__(self, node: Path, berth: Berth) -> None:
        self._process = subprocess.Popen(
            [node, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=DRIVER.parent
        )
        self._inbox = Inbox()
        self._numbers = count(1)
        self._answers: dict[int, Any] = {}
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._ask("connect", **self._connect(berth))

    def _connect(self, berth: Berth) -> dict[str, Any]:
        place, proof, will = berth.place, berth.proof, berth.will
        options: dict[str, Any] = {
            "clientId": berth.client_id,
            "protocolVersion": 5 if berth.version == "5" else 4,
            "clean": berth.clean,
            "reconnectPeriod": 100,
        }
        if berth.version == "5" and not berth.clean:
            options["properties"] = {"sessionExpiryInterval": SESSION_EXPIRY_S}
        if proof.user_name is not None:
            options |= {"username": proof.user_name, "password": proof.password}
        files = {"ca": place.ca_file, "cert": proof.certificate_file, "key": proof.key_file}
        last: dict[str, Any] | None = None
        if will is not None:
            payload = base64.b64encode(encoded(will.payload)).decode()
            last = {"topic": will.topic, "payload": payload, "qos": will.qos, "retain": will.retain}
        return {
            "url": f"wss://{place.host}:{place.port}/mqtt",
            "options": options,
            "files": {key: str(file) for key, file in files.items() if file},
            "will": last,
        }

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "topic" in told:
                payload = base64.b64decode(told["payload"])
                self._inbox.put(Got(told["topic"], payload, told["qos"], told["retain"]))
                continue
            with self._told:
                self._answers[told["id"]] = told
                self._told.notify_all()

    def begin(self, verb: str, **more: Any) -> int:
        """Gives a command; its number."""
        number = next(self._numbers)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": verb, **more}) + "\n")
        self._process.stdin.flush()
        return number

    def answer(self, number: int, within_s: float = WITHIN_S) -> Any:
        """Waits for the end of a command."""
        with self._told:
            assert self._told.wait_for(lambda: number in self._answers, within_s), "MQTT.js does not answer"
            told = self._answers.pop(number)
        assert "error" not in told, told
        return told["answer"]

    def _ask(self, verb: str, **more: Any) -> Any:
        return self.answer(self.begin(verb, **more))

    def begin_publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> int:
        """Publishes; what `answer` takes to wait for the acknowledgement."""
        options = {"qos": qos, "retain": retain}
        return self.begin("publish", topic=topic, payload=base64.b64encode(payload).decode(), options=options)

    def subscribe(self, filter: str, qos: int = 2) -> None:
        assert self._ask("subscribe", filter=filter, qos=qos) == [qos]

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        assert self.answer(self.begin_publish(topic, payload, qos, retain)) < 0x80

    def receive(self, count: int = 1, within_s: float = WITHIN_S) -> list[Got]:
        return self._inbox.take(count, within_s)

    def drop(self) -> None:
        self._process.kill()
        self._gone()

    def close(self) -> None:
        try:
            if self._process.poll() is None:
                self._ask("end")
        finally:
            self._process.kill()
            self._gone()

    def _gone(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and pipe is self._process.stdin:
                pipe.close()
        self._process.wait(WITHIN_S)
        self._reader.join(WITHIN_S)
        if self._process.stdout is not None:
            self._process.stdout.close()


@dataclass
class MosquittoClient(Client):
    """mosquitto_sub for what comes in, mosquitto_pub for what goes out under a name beside it."""

    pub: Path
    sub: Path
    berth: Berth
    _inbox: Inbox = field(default_factory=Inbox)
    _readers: list[subprocess.Popen[str]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.berth.will is not None or not self.berth.clean:
            self.subscribe(f"nothing/{self.berth.client_id}", 0)  # so that it is connected from now on

    def _words(self, suffix: str) -> list[str]:
        place, proof = self.berth.place, self.berth.proof
        version = {"3.1.1": "mqttv311", "5": "mqttv5"}[self.berth.version]
        words = ["-h", place.host, "-p", str(place.port), "-V", version, "-i", self.berth.client_id + suffix]
        words += ["--cafile", str(place.ca_file)]
        if proof.certificate_file:
            words += ["--cert", str(proof.certificate_file), "--key", str(proof.key_file)]
        if proof.user_name is not None:
            words += ["-u", proof.user_name, "-P", str(proof.password)]
        return words

    def subscribe(self, filter: str, qos: int = 2) -> None:
        first = not self._readers
        words = [*self._words("" if first else f"-{len(self._readers)}"), "-d", "-F", "message|%t|%x|%q|%r"]
        if not self.berth.clean:
            words += ["-c", *(["-x", str(SESSION_EXPIRY_S)] if self.berth.version == "5" else [])]
        will = self.berth.will
        if will is not None and first:
            words += ["--will-topic", will.topic, "--will-payload", encoded(will.payload).decode()]
            words += ["--will-qos", str(will.qos), *(["--will-retain"] if will.retain else [])]
        # Its output is written a line at a time, not when it ends.
        command = ["stdbuf", "-oL", str(self.sub), *words, "-q", str(qos), "-t", filter]
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._readers.append(reader)
        subscribed = threading.Event()
        self._threads.append(threading.Thread(target=self._read, args=(reader, subscribed), daemon=True))
        self._threads[-1].start()
        assert subscribed.wait(WITHIN_S), "mosquitto_sub did not subscribe"

    def _read(self, reader: subprocess.Popen[str], subscribed: threading.Event) -> None:
        assert reader.stdout is not None
        for line in reader.stdout:
            if line.startswith("Subscribed"):
                subscribed.set()
            if line.startswith("message|"):
                _, topic, payload, qos, retain = line.rstrip("\n").split("|")
                self._inbox.put(Got(topic, bytes.fromhex(payload), int(qos), retain == "1"))

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        said = ["-s"] if payload else ["-n"]
        words = [*self._words("-pub"), "-q", str(qos), "-t", topic, *said, *(["-r"] if retain else [])]
        done = subprocess.run([self.pub, *words], input=payload, capture_output=True, timeout=WITHIN_S, check=False)
        assert (done.returncode, done.stderr) == (0, b"")

    def receive(self, count: int = 1, within_s: float = WITHIN_S) -> list[Got]:
        return self._inbox.take(count, within_s)

    def drop(self) -> None:
        for reader in self._readers:
            reader.kill()
        self.close()

    def close(self) -> None:
        for reader, thread in zip(self._readers, self._threads, strict=True):
            reader.terminate()
            reader.wait(WITHIN_S)
            thread.join(WITHIN_S)
            if reader.stdout is not None:
                reader.stdout.close()


def encoded(payload: bytes | str) -> bytes:
    """A payload as it goes over the line."""
    return payload.encode() if isinstance(payload, str) else payload


def together(clients: Sequence[Client]) -> None:
    """Closes all of them."""
    for client in clients:
        client.close()
