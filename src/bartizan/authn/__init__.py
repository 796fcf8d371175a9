"""Credential -> principal, or a refusal with one Reason Code. In batches, never on the PUBLISH path.

base         the Protocol, what a CONNECT brings, what is answered
password     user name and password against argon2id hashes
certificate  a verified client certificate against the identity store
anonymous    nothing presented, on a listener that says `danger_anonymous`
binding      which Client Identifiers an identity may use
chain        any of several authenticators of a method, then the binding
"""

from bartizan.authn.anonymous import AnonymousAuthenticator
from bartizan.authn.base import Authenticator, Certificate, Challenge, ConnectRequest, Denied, Proof, Verdict
from bartizan.authn.certificate import CertificateAuthenticator
from bartizan.authn.chain import Chain, default_chain
from bartizan.authn.password import PasswordAuthenticator

__all__ = [
    "AnonymousAuthenticator",
    "Authenticator",
    "Certificate",
    "CertificateAuthenticator",
    "Chain",
    "Challenge",
    "ConnectRequest",
    "Denied",
    "PasswordAuthenticator",
    "Proof",
    "Verdict",
    "default_chain",
]
