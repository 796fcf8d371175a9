"""The broker's own CA: ECDSA P-256 throughout, keys 0600, every file written whole or not at all.

profiles  what a CA, server and client certificate of ours contains
ca        the CA: made once, then loaded
server    the server certificate: made, and renewed before it ends
client    certificates of identities
enrolment an identity, its credential and its bundle, all or none
bundle    the files a client gets
crl       Certificate Revocation Lists
files     atomic, durable writing of key and certificate files
"""

from bartizan.pki.ca import Authority
from bartizan.pki.client import IssuedCertificate, issue_client_certificate
from bartizan.pki.server import ensure_server_certificate

__all__ = ["Authority", "IssuedCertificate", "ensure_server_certificate", "issue_client_certificate"]
