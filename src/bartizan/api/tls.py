"""The certificate of the port of the API: TLS 1.3, from the files of the broker or of `[api]`; read again when changed."""

import ssl
from pathlib import Path

from bartizan.config.api import ApiSettings
from bartizan.config.layout import DataDirectory
from bartizan.errors import CertificateUnusable


class Certificate:
    """The files, and the context that serves them."""

    def __init__(self, settings: ApiSettings, data: DataDirectory) -> None:
        self._chain = settings.certificate_file or data.server_certificate
        self._key = settings.key_file or data.server_key
        self._read: object = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.renew()

    def renew(self) -> bool:
        """Reads the files if they changed; whether they had. `CertificateUnusable` leaves what was there in force."""
        try:
            stamps = tuple(_stamp(file) for file in (self._chain, self._key))
            if stamps == self._read:
                return False
            # A pair that does not fit is refused before the context that serves is touched.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
            self.context.load_cert_chain(self._chain, self._key)
        except OSError as error:  # ssl.SSLError is one
            raise CertificateUnusable(
                f"the API cannot use its certificate {self._chain} with {self._key}: {error.strerror or error}"
            ) from None
        self._read = stamps
        return True


def _stamp(file: Path) -> tuple[int, int, int]:
    told = file.stat()
    return told.st_mtime_ns, told.st_size, told.st_ino
