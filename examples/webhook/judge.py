"""A service that a broker asks about each CONNECT (docs/reference/webhook.md): judge.py PORT SECRET CERTIFICATE KEY."""

import hmac
import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FRESH_S = 60
# Yours come from where you keep them, as hashes.
USERS = {"alice": ("wonderland", ["dashboard"]), "bob": ("builder", [])}


class Judge(BaseHTTPRequestHandler):
    """Says yes to whom it knows."""

    secret = b""

    def do_POST(self) -> None:
        """Judges one question, if it is genuine and new."""
        body = self.rfile.read(int(self.headers["content-length"]))
        timestamp, signature = self.headers["bartizan-timestamp"], self.headers["bartizan-signature"]
        is_genuine = hmac.compare_digest(self.signed(timestamp.encode(), body), signature)
        if not is_genuine or abs(time.time() - int(timestamp)) > FRESH_S:
            self.send_error(403)
            return
        question = json.loads(body)
        password, roles = USERS.get(question["user_name"], ("", []))
        allow = password != "" and hmac.compare_digest(password.encode(), question["password"].encode())
        answer = json.dumps({"allow": allow, "roles": roles if allow else [], "expires_in_s": 3600}).encode()
        self.send_response(200)
        self.send_header("bartizan-signature", self.signed(b"answer", signature.encode(), answer))
        self.end_headers()
        self.wfile.write(answer)

    def signed(self, *pieces: bytes) -> str:
        """The signature of pieces joined by dots."""
        return "v1=" + hmac.digest(self.secret, b".".join(pieces), "sha256").hex()


if __name__ == "__main__":
    port, secret_file, certificate, key = sys.argv[1:]
    Judge.secret = Path(secret_file).read_bytes().strip()
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Judge)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
