"""Reason Codes of MQTT 5 (2.4) that the control plane may answer a CONNECT with."""

from enum import IntEnum


class ReasonCode(IntEnum):
    """The specification's names and values; the engine maps them for 3.1.1 clients."""

    SUCCESS = 0x00
    CONTINUE_AUTHENTICATION = 0x18
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    BAD_AUTHENTICATION_METHOD = 0x8C
    ADMINISTRATIVE_ACTION = 0x98
    MAXIMUM_CONNECT_TIME = 0xA0
