"""Encryption at rest under the key-encryption key (AES-256-GCM)."""

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from auth_server.clock import Random
from auth_server.errors import AuthServerError


class SealBroken(AuthServerError):
    """Sealed data cannot be read: the key-encryption key is another one, or the data was altered."""


class Sealing:
    """Seals secrets that the server itself must read again.

    Args:
        key: 32 bytes, the key-encryption key.
        random: source of nonces.
    """

    def __init__(self, key: bytes, random: Random) -> None:
        self._key, self._cipher = key, AESGCM(key)
        self._random = random

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes that nobody knows without the key-encryption key; always the same for a *purpose*."""
        return HKDF(SHA256(), 32, None, b"auth-server " + purpose.encode()).derive(self._key)

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Return *secret* encrypted; it opens only for the same *purpose*, so that records cannot be swapped."""
        nonce = self._random(12)
        return nonce + self._cipher.encrypt(nonce, secret, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Return what was sealed for *purpose*.

        Raises:
            SealBroken: another key, another purpose, or altered data.
        """
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], purpose.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(
                f"the key-encryption key does not fit what is stored ({purpose});"
                " put the right file back into KEYS_DIR, or set AUTH_SERVER_KEY_ENCRYPTION_KEY"
            ) from None


def read_key(given: str | None, folder: Path, random: Random, *, may_create: bool) -> bytes:
    """Return the key-encryption key.

    Args:
        given: the setting KEY_ENCRYPTION_KEY (base64), or None to use the file `kek` in *folder*.
        folder: KEYS_DIR; made with mode 0700 where missing.
        random: makes a new key.
        may_create: whether a missing file may be made; not when the store already holds sealed secrets.

    Raises:
        AuthServerError: the file is missing, open to others or no key; the text says what to do.
    """
    if given is not None:
        return base64.b64decode(given)
    path = folder / "kek"
    if not path.exists():
        if not may_create:
            raise AuthServerError(
                f"the key-encryption key {path} is missing, but the store holds keys sealed with it;"
                " put the file back, or set AUTH_SERVER_KEY_ENCRYPTION_KEY"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)  # a clone's keys/ has the umask of its owner
        except OSError as error:
            raise AuthServerError(
                f"KEYS_DIR {folder} cannot be used: {error.strerror}; set AUTH_SERVER_KEYS_DIR to a folder of your own"
            ) from None
        _write_new(path, base64.b64encode(random(32)) + b"\n")
    if path.stat().st_mode & 0o077:
        raise AuthServerError(f"{path} can be read by others; run: chmod 600 {path}")
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise AuthServerError(f"{path} cannot be read ({error.strerror}); put the right file back") from None
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise AuthServerError(f"{path} does not hold 32 bytes in base64; put the right file back")
    return key


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; one that another process has just made stays as it is."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)
        file.write(content)
        file.flush()
        os.fsync(handle)
