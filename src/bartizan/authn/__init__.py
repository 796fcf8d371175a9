"""Credential -> principal, or a refusal with one Reason Code. In batches, never on the PUBLISH path.

base         the Protocol, what a CONNECT brings, what is answered
password     user name and password against argon2id hashes
certificate  a verified client certificate against the identity store
certificate_names  which identity a certificate names: by convention, or by rules
ocsp         a responder is asked about certificates; ocsp_answer, what of its answer is believed
ages         a credential that is too old proves nothing
anonymous    nothing presented, on a listener that says `danger_anonymous`
jwt          signed tokens of an issuer; jwks, its keys; claims, what is made of them
introspection  tokens that their issuer is asked about
scram        a password that is proved and never sent
webhook      a service of the operator's own, asked by a signed POST
ldap         a directory judges the password; ldap_connection, ldap_wire: how it is spoken to
sql          hashes of passwords in a database of the operator's own; rows, where they come from
vouching     what somebody outside says of an account -> a proof
verification  passwords against stored hashes, at the same cost for everyone
operators    people log in: password and a code, a passkey, or an OpenID Provider; oidc, how that one is asked
outside      one gate for each authenticator that asks somebody outside
backoff      how guessing at passwords is slowed down
binding      which Client Identifiers and User Names an identity may use
entry        one authenticator, or several that all have to prove
chain        any of a listener's entries, then the binding
kinds        settings -> authenticators -> the entries of each listener
"""

from bartizan.authn.anonymous import AnonymousAuthenticator
from bartizan.authn.base import (
    Authenticator,
    Called,
    Certificate,
    Challenge,
    ConnectRequest,
    Denied,
    Proof,
    ProviderUnavailable,
    Verdict,
)
from bartizan.authn.certificate import CertificateAuthenticator
from bartizan.authn.chain import Chain
from bartizan.authn.kinds import default_chain
from bartizan.authn.password import PasswordAuthenticator

__all__ = [
    "AnonymousAuthenticator",
    "Authenticator",
    "Called",
    "Certificate",
    "CertificateAuthenticator",
    "Chain",
    "Challenge",
    "ConnectRequest",
    "Denied",
    "PasswordAuthenticator",
    "Proof",
    "ProviderUnavailable",
    "Verdict",
    "default_chain",
]
