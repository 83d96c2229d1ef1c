"""A peer that stops in the middle of a request does not hold a thread for ever."""

import socket
from pathlib import Path

import pytest

from tests import proves
from tests.servers.auth_server import AuthServer

HEAD = b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


@proves("S-140")
@pytest.mark.parametrize("sent", [b"POST /api/v1/ses", HEAD], ids=["head", "body"])
def test_gunicorn_gives_up_on_a_silent_peer(tmp_path: Path, sent: bytes):
    """After REQUEST_TIMEOUT the connection is closed, with 408 where a body was awaited."""
    server = AuthServer(tmp_path, request_timeout=1)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), 10) as silent:
            silent.sendall(sent)
            received = b""
            while part := silent.recv(4096):
                received += part
        assert received[:12] == (b"HTTP/1.1 408" if sent == HEAD else b"")
        assert "Traceback" not in server.log()
    finally:
        server.stop()
