"""A plain FIX 4.4 acceptor on simplefix, with numbers and a memory of its own.

It shares no code with the house: it is the broker that our session is judged by. Whatever comes
with a type of an order is written to its audit, before anything else happens. How it answers is a
script, one word for each new order; without one it says that the order is new.

It runs in a test's loop, or as a process of its own:
`python -m tests.brokers.fix.counterpart --audit FILE [--fills]` prints its port.
"""

import argparse
import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import simplefix  # type: ignore[import-untyped]  # it carries no types

from tests.brokers.fix.market import Audited, Book, Fields, Market, legs_of, text

__all__ = ["Book"]

SENDER, TARGET = "NORTH", "OPENBELL"
APPLICATION: Final = frozenset({"D", "E", "F", "G", "H", "AF"})


class Peer:
    """One connection to the acceptor."""

    def __init__(
        self, book: Book, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.book = book
        self._reader = reader
        self._writer = writer
        self.logged_on = False
        self.silent = False
        self.fills_gaps = True
        self.received: list[simplefix.FixMessage] = []
        self.market = Market(book, self.send)

    async def serve(self) -> None:
        parser = simplefix.FixParser()
        while data := await self._reader.read(65_536):
            parser.append_buffer(data)
            while (message := parser.get_message()) is not None:
                self.received.append(message)
                if not self._take(message):
                    return
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    # --- session ------------------------------------------------------------------------

    def _take(self, message: simplefix.FixMessage) -> bool:
        """Deal with one message; return False to hang up."""
        kind, number = text(message, 35), int(text(message, 34))
        duplicate = text(message, 43) == "Y"
        if kind in APPLICATION:
            self._note(kind, number, message)
        if kind == "4":
            return self._reset(message, number)
        if kind == "A":
            return self._logon(message, number)
        if number < self.book.next_in:
            if not duplicate:
                self._logout(f"MsgSeqNum too low, expecting {self.book.next_in}, received {number}")
            return duplicate
        if number > self.book.next_in:
            if kind == "2":  # as every engine: answered even when it comes too early
                self.fill_gap(int(text(message, 7)))
            self._ask_again()
            return True
        self.book.next_in += 1
        return self._administrative(kind, message) or self._ordered(kind, message)

    def _note(self, kind: str, number: int, message: simplefix.FixMessage) -> None:
        again, at = text(message, 43) == "Y", asyncio.get_running_loop().time()
        for each in legs_of(message):
            self.book.note(Audited(kind, number, text(each, 11), again, at))

    def _logon(self, message: simplefix.FixMessage, number: int) -> bool:
        book = self.book
        if self.logged_on:  # the answer to a numbering that we began
            book.next_in += 1
            return True
        if book.logon_words is not None:
            self._logout(book.logon_words)
            return False
        if text(message, 141) == "Y":
            book.next_in, book.next_out, book.sent = 1, 1, []
        if number < book.next_in:
            self._logout(f"MsgSeqNum too low, expecting {book.next_in}, received {number}")
            return False
        reply: list[tuple[int, object]] = [(98, 0), (108, text(message, 108))]
        if text(message, 141) == "Y":
            reply.append((141, "Y"))
        book.logons += 1
        self.logged_on = True
        self.send("A", reply)
        if number > book.next_in:
            self._ask_again()
        else:
            book.next_in += 1
        return True

    def _logout(self, words: str) -> None:
        self.send("5", [(58, words)])
        self._writer.close()

    def _ask_again(self) -> None:
        if self.book.asks_again:
            self.send("2", [(7, self.book.next_in), (16, 0)])

    def _reset(self, message: simplefix.FixMessage, number: int) -> bool:
        new = int(text(message, 36))
        if text(message, 123) == "Y" and number > self.book.next_in:
            self._ask_again()
        elif new > self.book.next_in:
            self.book.next_in = new
        return True

    def _administrative(self, kind: str, message: simplefix.FixMessage) -> bool:
        match kind:
            case "0" | "3":
                return True
            case "1":
                if not self.silent:
                    self.send("0", [(112, text(message, 112))])
                return True
            case "2":
                if self.fills_gaps:
                    self.fill_gap(int(text(message, 7)))
                return True
            case "5":
                self.send("5", [])
                self._writer.close()
                return True
            case _:
                return False

    def _ordered(self, kind: str, message: simplefix.FixMessage) -> bool:
        stands = self.market.take(kind, message)
        if not stands:
            self._writer.transport.abort()
        return stands

    def fill_gap(self, begin: int) -> None:
        """Send reports again as possible duplicates, and fill the rest as gaps."""
        at = begin
        for number, kind, fields in self.book.sent:
            if number >= begin and kind in {"8", "9", "j"}:
                if number > at:
                    self._put("4", at, [(123, "Y"), (36, number)], again=True)
                self._put(kind, number, fields, again=True)
                at = number + 1
        if at < self.book.next_out:
            self._put("4", at, [(123, "Y"), (36, self.book.next_out)], again=True)

    def send(self, kind: str, fields: Fields) -> None:
        number, self.book.next_out = self.book.next_out, self.book.next_out + 1
        self.book.sent.append((number, kind, fields))
        self._put(kind, number, fields)

    def _put(self, kind: str, number: int, fields: Fields, *, again: bool = False) -> None:
        message = simplefix.FixMessage()
        header = ((8, "FIX.4.4"), (35, kind), (49, SENDER), (56, TARGET), (34, str(number)))
        for tag, value in header:
            message.append_pair(tag, value, header=True)
        if again:
            message.append_pair(43, "Y", header=True)
        if again:  # before 52: what was first sent later than now is refused
            message.append_utc_timestamp(122, header=True)
        message.append_utc_timestamp(52, header=True)
        for field, content in fields:
            message.append_pair(field, content)
        with suppress(RuntimeError):
            self._writer.write(message.encode())


class Counterpart:
    """The acceptor, in the loop of a test or of its own process."""

    def __init__(self, book: Book | None = None) -> None:
        self.book = book or Book()
        self.peers: list[Peer] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.hang_up()

    async def listen(self, ssl: Any = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=ssl)
        self.port = self._server.sockets[0].getsockname()[1]

    async def hang_up(self) -> None:
        """Close the door and every connection."""
        if self._server is not None:
            self._server.close()
        for peer in self.peers:
            peer.close()
        self._server = None

    @property
    def peer(self) -> Peer:
        """The connection that is logged on, the latest."""
        return next(peer for peer in reversed(self.peers) if peer.logged_on)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self.book, reader, writer)
        self.peers.append(peer)
        try:
            await peer.serve()
        except OSError:
            pass
        finally:
            peer.logged_on = False
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _main(options: argparse.Namespace) -> None:
    book = Book(file=options.audit, fills=options.fills)
    async with Counterpart(book) as counterpart:
        print(counterpart.port, flush=True)  # noqa: T201 - whoever started us reads it
        # Whoever started us holds the other end; when he ends, so do we.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument("--fills", action="store_true")
    asyncio.run(_main(parser.parse_args()))
