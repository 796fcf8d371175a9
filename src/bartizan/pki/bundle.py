"""The files a client gets: CA, certificate and key, and ready options for mosquitto_sub and mosquitto_pub.

mosquitto-clients 2.0 have no option for an options file, but read `$XDG_CONFIG_HOME/mosquitto_sub`
and `$XDG_CONFIG_HOME/mosquitto_pub`: so a bundle is such a directory.
"""

import json
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from bartizan.errors import AlreadyExists, ConfigurationError
from bartizan.pki.client import IssuedCertificate
from bartizan.pki.files import PRIVATE, PUBLIC, make_directory, sync_directory, write_durably

DESCRIPTION = "bundle.json"
OPTIONS_FILES = ("mosquitto_sub", "mosquitto_pub")
CA_FILE = "ca.crt"


@dataclass(frozen=True, slots=True)
class Bundle:
    """How one identity reaches one broker. File names are relative to the bundle's directory."""

    identity: str
    host: str
    port: int
    ca: str = CA_FILE
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Reads the bundle of a directory."""
        file = directory / DESCRIPTION
        try:
            return cls(**json.loads(file.read_bytes()))
        except FileNotFoundError:
            raise ConfigurationError(
                "this is no bundle", str(directory), "name a directory that `bartizan enrol` made"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(f"the bundle cannot be read: {error}", str(file), "enrol again") from None


def write_bundle(directory: Path, bundle: Bundle, ca_pem: bytes, issued: IssuedCertificate | None) -> None:
    """Writes a bundle whole or not at all; an existing directory is never written into."""
    if directory.exists():
        raise AlreadyExists(f"{directory} exists already: choose another --out, or remove it")
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}.tmp")
    try:
        make_directory(temporary)
        write_durably(temporary / CA_FILE, ca_pem, PUBLIC)
        if issued is not None and bundle.certificate and bundle.key:
            write_durably(temporary / bundle.certificate, issued.certificate_pem, PUBLIC)
            write_durably(temporary / bundle.key, issued.key_pem, PRIVATE)
        write_durably(temporary / DESCRIPTION, json.dumps(asdict(bundle), indent=2).encode() + b"\n", PUBLIC)
        for name in OPTIONS_FILES:
            write_durably(temporary / name, _mosquitto_options(directory, bundle).encode(), PRIVATE)
        temporary.rename(directory)
        sync_directory(directory.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _mosquitto_options(directory: Path, bundle: Bundle) -> str:
    """One option a line. Paths are absolute: after a move, edit them or enrol again."""
    options = [
        f"-h {bundle.host}",
        f"-p {bundle.port}",
        "-V mqttv5",
        f"-i {bundle.identity}",
        f"--cafile {directory / bundle.ca}",
    ]
    if bundle.certificate and bundle.key:
        options += [f"--cert {directory / bundle.certificate}", f"--key {directory / bundle.key}"]
    else:
        options.append(f"-u {bundle.identity}")
    return "\n".join(options) + "\n"
