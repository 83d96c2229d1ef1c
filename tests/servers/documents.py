"""A host of somebody else's, in this process: it serves documents, counts who asks, and may misbehave."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Misbehave = Callable[[socket.socket], None]


@dataclass
class Host:
    """What it answers, by path: a document, a whole answer that begins with `HTTP/`, or what it does instead."""

    port: int
    answers: dict[str, bytes | Misbehave] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    tls: ssl.SSLContext | None = None

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return where a document is."""
        return f"{scheme}://{host}:{self.port}{path}"

    def serve(self, peer: socket.socket) -> None:
        """Answer one request."""
        with suppress(OSError), peer if self.tls is None else self.tls.wrap_socket(peer, server_side=True) as peer:
            head = b""
            while b"\r\n\r\n" not in head:
                part = peer.recv(4096)
                if not part:
                    return
                head += part
            path = head.split(b" ", 2)[1].decode()
            self.asked.append(path)
            answer = self.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if callable(answer):
                answer(peer)
            else:
                peer.sendall(answer if answer.startswith(b"HTTP/") else ok(answer))


def ok(body: bytes, *headers: str) -> bytes:
    """Return an answer that holds a document."""
    lines = ("HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def hosting(address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Host]:
    """A host at an address of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listener:
        host = Host(listener.getsockname()[1], tls=tls)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    host.connections += 1
                    threading.Thread(target=host.serve, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield host
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
