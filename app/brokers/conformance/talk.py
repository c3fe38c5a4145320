"""Says where on a connection the client's own words begin: at once, or after TLS's handshake. Pure.

To swallow a request one must let the handshake before it through, and that is all that can be
read of TLS from outside: each record names its kind. A client's own first record of TLS 1.3 is
its `Finished` under the kind of application data; in 1.2 it is still called handshake.
"""

from typing import Final

HANDSHAKE: Final = 0x16
CHANGE_CIPHER: Final = 0x14
APPLICATION: Final = 0x17
HEADER: Final = 5


class Talk:
    """One direction of one connection: the client's."""

    def __init__(self) -> None:
        self.is_tls: bool | None = None  # None before the first byte
        self._speaks = False
        self._sealing = False
        self._left = 0  # of the record that is passing
        self._header = b""

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what still belongs to the handshake, and what the client says after it."""
        if self.is_tls is None and data:
            self.is_tls = data[0] == HANDSHAKE
            self._speaks = not self.is_tls
        at = 0
        while at < len(data) and not self._speaks:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            step = min(HEADER - len(self._header), len(data) - at)
            self._header += data[at : at + step]
            at += step
            if len(self._header) == HEADER:
                self._begin(self._header)
                self._header = b""
        return data[:at], data[at:]

    def _begin(self, header: bytes) -> None:
        self._left = int.from_bytes(header[3:5], "big")
        if header[0] == CHANGE_CIPHER:
            self._sealing = True
        elif header[0] == HANDSHAKE:
            self._sealing = False
        elif header[0] == APPLICATION:
            self._speaks = not self._sealing
            self._sealing = False
