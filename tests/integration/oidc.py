"""A real OpenID Provider for tests: panva's oidc-provider under Node.js, over TLS, driven by lines of JSON."""

import base64
import json
import ssl
import subprocess
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import trustme

from tests.left_out import leave_out, require_directory, require_program

DRIVER = Path(__file__).parent / "node" / "provider.mjs"
WITHIN_S = 20.0
NODE_MAJOR_MIN = 20


@dataclass
class OpenIdProvider:
    """Started with `with`; every client has the secret that it drew."""

    directory: Path
    lifetime_s: int
    clients: tuple[str, ...]
    redirect_uris: tuple[str, ...] = ()
    """Of the client `console`, at which people log in by browser; empty: there is none."""
    issuer: str = ""
    secret: str = ""

    def __enter__(self) -> Self:
        node = require_program("node", "nodejs")
        major = subprocess.run(
            [node, "-p", "parseInt(process.versions.node)"], capture_output=True, text=True, check=True
        )
        if int(major.stdout) < NODE_MAJOR_MIN:
            leave_out(f"oidc-provider needs Node.js {NODE_MAJOR_MIN}", "install a newer nodejs")
        require_directory(DRIVER.parent / "node_modules" / "oidc-provider", "npm ci in tests/integration/node")
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(self.ca_file)
        certificate.private_key_pem.write_to_path(self.directory / "provider.key")
        (self.directory / "provider.crt").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        files = (self.directory / "provider.key", self.directory / "provider.crt")
        redirects = [f"--redirect={uri}" for uri in self.redirect_uris]
        words = [node, DRIVER, *files, self.lifetime_s, *self.clients, *redirects]
        self._process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=DRIVER.parent,
        )  # fmt: skip
        said = self._line()
        self.issuer, self.secret = said["issuer"], said["secret"]
        self.secret_file.write_text(self.secret + "\n")
        self.secret_file.chmod(0o600)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """It is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(WITHIN_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    @property
    def ca_file(self) -> Path:
        """The CA that signed its certificate."""
        return self.directory / "provider-ca.crt"

    @property
    def secret_file(self) -> Path:
        """The secret of its clients, for whoever asks it."""
        return self.directory / "client-secret"

    def token(self, client: str, form: str = "jwt") -> str:
        """An access token for the broker by client credentials: a `jwt`, or an `opaque` one."""
        asked = {"grant_type": "client_credentials", "resource": f"urn:mqtt:{form}", "scope": "mqtt"}
        pair = f"{urllib.parse.quote_plus(client)}:{urllib.parse.quote_plus(self.secret)}"
        request = urllib.request.Request(
            f"{self.issuer}/token",
            urllib.parse.urlencode(asked).encode(),
            {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
        )
        trust = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(request, context=trust, timeout=WITHIN_S) as answer:
            return json.loads(answer.read())["access_token"]

    def rotate(self) -> None:
        """Signs with a new key from now on; the one before stays published."""
        self._do("rotate")

    def before_the_browser(self, account: str | None, **more: Any) -> None:
        """Who logs in there from now on: with `claims`, `amr`, `acr`, `ts`; None: who refuses."""
        self._do("person", person=None if account is None else {"account": account, **more})

    def seen(self, path: str) -> int:
        """How many requests of this path came."""
        return self._do("seen").get(path, 0)

    def _do(self, what: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the provider ended"
        return json.loads(line)
