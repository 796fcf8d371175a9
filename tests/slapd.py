"""A real OpenLDAP (slapd) for tests: a directory of its own in a temporary directory, by TLS, gone at the end."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from bench.ports import free_ports
from tests.left_out import leave_out, require_program

SUFFIX = "dc=plant,dc=example"
ROOT_DN = f"cn=admin,{SUFFIX}"
ROOT_PASSWORD = "root secret"
STARTS_WITHIN_S = 20.0

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {directory}/slapd.pid
TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/server.pem
TLSCertificateKeyFile {directory}/server.key
# So that the trap is there that a broker must not fall into.
allow bind_anon_dn
database mdb
suffix "{suffix}"
rootdn "{root_dn}"
rootpw "{root_password}"
directory {directory}/db
maxsize 16777216
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=hidden,{suffix}" by * none
access to * by users read by anonymous read
"""

CONTENT = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Plant
dc: plant

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups

dn: cn=finder,{SUFFIX}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: finder
userPassword: finder secret

dn: uid=alice,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Liddell
l: north
mail: alice@plant.example
userPassword: wonderland

dn: uid=bob,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Builder
userPassword: builder

dn: uid=press-01,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: press-01
cn: Press
sn: One
userPassword: right

dn: uid=two,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: two
uid: zwei
cn: Two
sn: Names
userPassword: right

dn: cn=smith\\, john+sn=o'neil,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: jsmith
cn: smith, john
sn: o'neil
userPassword: right

dn: ou=elsewhere,{SUFFIX}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:1/ou=elsewhere,{SUFFIX}

dn: cn=operators,ou=groups,{SUFFIX}
objectClass: groupOfNames
cn: operators
description: alice;
member: uid=alice,ou=people,{SUFFIX}
member: cn=smith\\, john+sn=o'neil,ou=people,{SUFFIX}

dn: cn=others,ou=groups,{SUFFIX}
objectClass: groupOfNames
cn: others
description: alice;bob;
member: uid=alice,ou=people,{SUFFIX}
member: uid=bob,ou=people,{SUFFIX}
"""


@dataclass(frozen=True)
class Slapd:
    """A running slapd."""

    directory: Path
    port: int
    tls_port: int

    @property
    def ca_file(self) -> Path:
        """Whose certificate it has."""
        return self.directory / "ca.pem"

    @property
    def log(self) -> str:
        """What it was asked so far, as it logs it ("stats")."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    def password_file(self, password: str = "finder secret") -> Path:
        """A file with the password of `cn=finder`."""
        file = self.directory / f"password-{password.replace(' ', '-')}"
        file.write_text(password + "\n")
        file.chmod(0o600)
        return file


def find_program() -> Path:
    """Debian's, or what is on the path; without any the calling test is left out."""
    found = shutil.which("slapd", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None or not Path("/etc/ldap/schema/core.schema").exists():
        leave_out("slapd is not installed", "apt-get install slapd")
    return Path(str(found))


@contextmanager
def started() -> Iterator[Slapd]:
    """A directory, until the end of the block."""
    program, add = find_program(), require_program("ldapadd", "ldap-utils")
    with tempfile.TemporaryDirectory(prefix="bartizan-ldap-") as made:
        directory = Path(made)
        (directory / "db").mkdir()
        _certify(directory)
        (directory / "slapd.conf").write_text(
            CONFIGURATION.format(directory=directory, suffix=SUFFIX, root_dn=ROOT_DN, root_password=ROOT_PASSWORD)
        )
        running = Slapd(directory, *free_ports(2))
        # At a second address too, one that its certificate does not name.
        places = " ".join(
            f"ldap://{address}:{running.port}/ ldaps://{address}:{running.tls_port}/"
            for address in ("127.0.0.1", "127.0.0.2")
        )
        # In the foreground, and a log of who asked what.
        command = [program, "-f", directory / "slapd.conf", "-h", places, "-d", "stats"]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
        try:
            _wait(running, process)
            environment = os.environ | {"LDAPTLS_CACERT": str(running.ca_file)}
            words = ["-x", "-H", f"ldaps://127.0.0.1:{running.tls_port}", "-D", ROOT_DN, "-w", ROOT_PASSWORD, "-M"]
            subprocess.run(
                [add, *words], input=CONTENT, env=environment, text=True, check=True, timeout=60, capture_output=True
            )
            yield running
        finally:
            process.terminate()
            process.wait(30)


def _certify(directory: Path) -> None:
    ca = trustme.CA()
    server = ca.issue_cert("127.0.0.1", "localhost")
    ca.cert_pem.write_to_path(directory / "ca.pem")
    server.cert_chain_pems[0].write_to_path(directory / "server.pem")
    server.private_key_pem.write_to_path(directory / "server.key")


def _wait(running: Slapd, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", running.tls_port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"slapd did not start:\n{running.log}")
