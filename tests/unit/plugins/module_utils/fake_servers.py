# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of Redis and Sentinels whose every answer a test decides."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable


class Status(str):
    """An answer such as OK, which is no text."""


OK = Status("OK")


class HangUp(Exception):
    """No answer: the connection ends."""


class Server(socketserver.ThreadingTCPServer):
    """Listens on a free port of loopback while the ``with`` lasts.

    What ``answer`` makes of the words of a command is the reply: text, a number, None, a list or a dictionary of those. What it raises is an error.
    """

    daemon_threads = True
    # Nobody waits for the threads of connections that clients keep open.
    block_on_close = False

    def __init__(self, answer: Callable[[list[str]], object]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answer = answer
        self.asked: list[list[str]] = []

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def port(self) -> int:
        return self.server_address[1]


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(HangUp, OSError):
            while True:
                head = self.rfile.readline()
                if not head:
                    return
                words = [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2].decode() for _index in range(int(head[1:]))]
                self.server.asked.append(words)
                try:
                    reply = encoded(self.server.answer(words))
                except ValueError as error:
                    reply = f"-{error}\r\n"
                self.wfile.write(reply.encode())


def encoded(answer: object) -> str:
    if answer is None:
        return "$-1\r\n"
    if isinstance(answer, Status):
        return f"+{answer}\r\n"
    if isinstance(answer, int):
        return f":{answer}\r\n"
    if isinstance(answer, dict):
        return f"%{len(answer)}\r\n" + "".join(encoded(word) for pair in answer.items() for word in pair)
    if isinstance(answer, list):
        return f"*{len(answer)}\r\n" + "".join(map(encoded, answer))
    return f"${len(answer.encode())}\r\n{answer}\r\n"


def info(**facts: object) -> str:
    """What INFO answers."""
    return "".join(f"{name}:{value}\r\n" for name, value in facts.items())
