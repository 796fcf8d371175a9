"""Who works at this command line."""

import os
import pwd


def operator() -> str:
    """The user of the system, and behind sudo the one who called it."""
    try:
        own = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        own = str(os.geteuid())
    caller = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    return f"{caller} (sudo)" if caller else own
