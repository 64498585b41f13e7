"""XSalsa20 for py-libp2p's private networks.

The library's own layer takes Salsa20 with 8-byte nonces, where the specification (libp2p/specs pnet) and every other
implementation take XSalsa20 with 24. `install()` puts the right cipher in: HSalsa20 below in plain Python over
pycryptodome's Salsa20, so that nothing of it comes from the library that our node uses.
"""
from __future__ import annotations

import os
import struct

from Crypto.Cipher import Salsa20

NONCE = 24
QUARTERS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
            (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))


def hsalsa20(key: bytes, nonce: bytes) -> bytes:
    c, k, n = struct.unpack("<4I", b"expand 32-byte k"), struct.unpack("<8I", key), struct.unpack("<4I", nonce)
    x = [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]
    for _ in range(10):
        for quarter in QUARTERS:
            for i, turn in enumerate((7, 9, 13, 18), 1):
                total = (x[quarter[i - 1]] + x[quarter[i - 2]]) & 0xFFFFFFFF
                x[quarter[i % 4]] ^= (total << turn | total >> 32 - turn) & 0xFFFFFFFF
    return struct.pack("<8I", *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def cipher(key: bytes, nonce: bytes):
    return Salsa20.new(key=hsalsa20(key, nonce[:16]), nonce=nonce[16:])


def install() -> None:
    from libp2p.security.pnet.psk_conn import PskConn

    async def write(self, data: bytes) -> None:
        if self.write_cipher is None:
            nonce = os.urandom(NONCE)
            self.write_cipher = cipher(self._psk, nonce)
            await self._conn.write(nonce)
        await self._conn.write(self.write_cipher.encrypt(data))

    async def read(self, n: int | None = None) -> bytes:
        if self.read_cipher is None:
            nonce = b""
            while len(nonce) < NONCE:
                got = await self._conn.read(NONCE - len(nonce))
                if not got:
                    return b""
                nonce += got
            self.read_cipher = cipher(self._psk, nonce)
        return self.read_cipher.decrypt(await self._conn.read(n))

    PskConn.write, PskConn.read = write, read
