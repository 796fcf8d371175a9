"""A directory that is silent, lying or bent on trouble lets nobody in, is told nothing, and holds up no client of others."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trustme

from bartizan.authn import ConnectRequest, Verdict, default_chain
from bartizan.authn import ldap_wire as wire
from bartizan.config.load import load_settings
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore

UNAVAILABLE, BUSY = ReasonCode.SERVER_UNAVAILABLE, ReasonCode.SERVER_BUSY
WRONG = ReasonCode.BAD_USER_NAME_OR_PASSWORD
PASSWORD = b"a password to be kept"
SILENT_S = 3_600
"""Whoever waited for the end of that would not be back."""

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def result(kind: int, code: int, number: int = 1) -> bytes:
    body = wire.integer(code, wire.ENUMERATED) + wire.element(wire.OCTETS) + wire.element(wire.OCTETS)
    return wire.message(number, wire.element(kind, body))


def entry(number: int, dn: bytes, **attributes: bytes) -> bytes:
    held = [
        wire.element(
            wire.SEQUENCE,
            wire.element(wire.OCTETS, name.encode()),
            wire.element(wire.SET, wire.element(wire.OCTETS, value)),
        )
        for name, value in attributes.items()
    ]
    return wire.message(
        number, wire.element(wire.ENTRY, wire.element(wire.OCTETS, dn), wire.element(wire.SEQUENCE, *held))
    )


def asked(
    talk: Talk, more: str = "", clients: int = 1, heard: list[bytes] | None = None
) -> tuple[list[Verdict], float]:
    """The verdicts on so many clients of a directory that talks so; and the longest time the loop stood still."""

    async def run() -> tuple[list[Verdict], float]:
        handlers: set[asyncio.Task[None]] = set()

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handlers.add(task := asyncio.current_task())  # pyrefly: ignore
            with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
                await talk(reader, writer)
            if heard is not None:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(0.3):
                        heard.append(await reader.read(65536))
            writer.transport.abort()
            handlers.discard(task)

        server = await asyncio.start_server(served, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plain = "" if "ca_file" in more else ', danger_plaintext_ldap = "test on loopback"'
        table = (
            f'kind = "ldap", ldap_url = "ldap://127.0.0.1:{port}", user_dn = "uid={{user_name}},dc=x", '
            f'identities = "answer", deadline_s = 1{plain}{more}'
        )
        words = ['listeners.mqtts.authentication=["staff"]', f"authenticators.staff={{{table}}}"]
        chain = default_chain(load_settings(None, words), MemoryIdentityStore())
        names = ["alice", *(f"user-{at}" for at in range(1, clients))]
        requests = [ConnectRequest(name, "mqtts", "192.0.2.1", user_name=name, password=PASSWORD) for name in names]
        deciding = [asyncio.create_task(chain.decide(request)) for request in requests]
        longest = await still(deciding)
        await chain.aclose()
        server.close()
        # One that was accepted at last begins before it is cancelled, so that it closes its socket.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in handlers:
                task.cancel()
            await asyncio.wait(others, timeout=0.02)
        return [task.result() for task in deciding], longest

    return asyncio.run(run())


async def still(tasks: list[asyncio.Task[Verdict]]) -> float:
    longest = 0.0
    while not all(task.done() for task in tasks):
        begun = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - begun)
    return longest


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(SILENT_S)


def answers(*octets: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in octets:
            await reader.read(65536)
            writer.write(piece)
            await writer.drain()

    return talk


def test_a_silent_directory_is_0x88_in_time_and_the_loop_goes_on():
    verdicts, longest = asked(silent, clients=200)
    assert longest < 1
    assert {verdict.reason for verdict in verdicts} == {UNAVAILABLE, BUSY}
    assert sum(verdict.reason is UNAVAILABLE for verdict in verdicts) == 16 + 128


BOUND = result(wire.BIND_RESPONSE, 0)
DONE = result(wire.DONE, 0, 2)


def test_a_directory_that_agrees_and_shows_the_entry_lets_in():
    (verdict,), _ = asked(answers(BOUND, entry(2, b"uid=alice,dc=x", uid=b"alice") + DONE))
    assert verdict.allowed, verdict.why


@pytest.mark.parametrize(
    "octets",
    [
        [b""],
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [b"\x30\x84\xff\xff\xff\xff"],
        [b"\x30\x80"],
        [b"\x30\x03\x02\x01\x01"],
        [result(wire.BIND_RESPONSE, 0, 7)],
        [result(wire.DONE, 0)],
        [result(wire.EXTENDED_RESPONSE, 0, 0)],
        [result(wire.BIND_RESPONSE, 10)],
        [result(wire.BIND_RESPONSE, 51)],
        [result(wire.BIND_RESPONSE, 14)],
        [BOUND, b""],
        [BOUND, DONE],
        [BOUND, result(wire.DONE, 32, 2)],
        [BOUND, result(wire.DONE, 10, 2)],
        [BOUND, entry(2, b"uid=alice,dc=x") + DONE],
        [BOUND, entry(2, b"uid=alice,dc=x", uid=b"\xff") + DONE],
        [BOUND, entry(2, b"uid=alice,dc=x", uid=b"alice") * 5 + DONE],
        [BOUND, entry(2, b"x", uid=b"y" * 200_000) * 20],
    ],
    ids=range(19),
)
def test_an_answer_of_no_use_is_0x88(octets):
    (verdict,), _ = asked(answers(*octets))
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE), verdict.why
    assert PASSWORD.decode() not in verdict.why


@pytest.mark.parametrize("code", [32, 34, 48, 49, 53])
def test_a_refusal_of_the_directory_is_a_wrong_password(code):
    (verdict,), _ = asked(answers(result(wire.BIND_RESPONSE, code)))
    assert (verdict.allowed, verdict.reason) == (False, WRONG)


# ---- StartTLS ---------------------------------------------------------------------------------------

GO = result(wire.EXTENDED_RESPONSE, 0)


@pytest.fixture
def ca(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made, tmp_path / "ca.pem"


@pytest.mark.parametrize(
    "octets",
    [
        [result(wire.EXTENDED_RESPONSE, 2)],
        [result(wire.EXTENDED_RESPONSE, 52)],
        [result(wire.BIND_RESPONSE, 0)],
        [GO],
        [GO + result(wire.BIND_RESPONSE, 0, 2)],
        [GO, BOUND],
    ],
    ids=["refused", "unavailable", "bound", "no TLS", "smuggled", "in the clear"],
)
def test_without_tls_nothing_is_told(ca, octets):
    heard: list[bytes] = []
    (verdict,), _ = asked(answers(*octets), f', ca_file = "{ca[1]}"', heard=heard)
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert not any(PASSWORD in octets for octets in heard)


@pytest.mark.parametrize("name", ["127.0.0.1", "other.example"])
def test_the_password_is_told_to_the_right_certificate_only(ca, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca[0].issue_cert(name).configure_cert(context)
    told: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(GO)
        await writer.start_tls(context)
        told.append(await reader.read(65536))
        writer.write(result(wire.BIND_RESPONSE, 49, 2))
        await writer.drain()
        await reader.read(65536)

    (verdict,), _ = asked(talk, f', ca_file = "{ca[1]}"')
    assert verdict.reason is (WRONG if name == "127.0.0.1" else UNAVAILABLE)
    assert any(PASSWORD in octets for octets in told) is (name == "127.0.0.1")


def test_a_handshake_that_never_ends_is_0x88(ca):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(GO)
        await asyncio.sleep(SILENT_S)

    (verdict,), longest = asked(talk, f', ca_file = "{ca[1]}"')
    assert (verdict.allowed, verdict.reason) == (False, UNAVAILABLE)
    assert longest < 1
