"""The broker's own CA: ECDSA P-256 throughout, keys 0600, every file written whole or not at all.

profiles  what a CA, server and client certificate of ours contains
ca        the CA: made once, then loaded
server    the server certificate: made, and renewed before it ends
client    certificates of identities
enrolment an identity, its credential and its bundle, all or none
bundle    the files a client gets
crl       Certificate Revocation Lists
files     atomic, durable writing of key and certificate files

It exports no names: who writes a file durably loads no cryptography.
"""
