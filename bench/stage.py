"""One broker, set up for one scenario, from its start until nothing of it is left."""

import secrets
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.certificates import Certificates, make_certificates
from bench.ports import free_ports
from bench.process import Cores, Door, Running, running, wait_ready
from bench.rivals import Rival, Setting, Variant

USER = "bench"
SETTLE_S = 0.3
"""What brokers still do after their first CONNACK is not the measurement's."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where brokers are started."""

    place: Path
    cores: Cores
    certificates: Certificates
    secret: str

    @classmethod
    def prepare(cls, place: Path) -> "Stage":
        """A stage in `place`; what an earlier run left there is removed."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return cls(place, Cores.choose(), make_certificates(place / "tls"), secrets.token_urlsafe(18))

    @contextmanager
    def broker(self, rival: Rival, variant: Variant, mqtt: str) -> Generator[tuple[Running, Door]]:
        """The broker, ready for clients."""
        port, spare = free_ports(2)
        directory = Path(tempfile.mkdtemp(prefix=f"{rival.name}-", dir=self.place))
        setting = Setting(
            variant=variant,
            mqtt=mqtt,
            port=port,
            spare_port=spare,
            directory=directory,
            certificates=self.certificates,
            user=USER,
            password=self.secret,
        )
        try:
            launch = rival.launch(setting)
            door = Door(
                port,
                mqtt,
                (launch.ca_file or self.certificates.ca) if setting.encrypted else None,
                USER if setting.guarded else None,
                (launch.password or self.secret) if setting.guarded else None,
            )
            with running(
                launch.argv, core=self.cores.broker, directory=directory, environment=launch.environment
            ) as one:
                wait_ready(one, door)
                time.sleep(SETTLE_S)
                yield one, door
        finally:
            shutil.rmtree(directory, ignore_errors=True)
