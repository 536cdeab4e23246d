"""osslsigncode as judge: a Windows program signed with a key on the token (Authenticode)."""

import struct
from pathlib import Path

from holder import certify, make_pair
from little_authority import PEM, LittleAuthority
from token_under_test import TokenUnderTest

SECTION = 512


def program() -> bytes:
    """Make the smallest PE file: the headers, and a section with one instruction, RET."""
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    file_header = struct.pack("<HHIIIHH", 0x14C, 1, 0, 0, 0, 224, 0x102)
    base = struct.pack("<HBBIIIIII", 0x10B, 0, 0, SECTION, 0, 0, 0x1000, 0x1000, 0x1000)
    sizes = (0x400000, 0x1000, SECTION)
    versions = (4, 0, 0, 0, 4, 0)
    stack = (0x100000, 0x1000, 0x100000, 0x1000)
    windows = struct.pack(
        "<3I6H4I2H4I2I", *sizes, *versions, 0, 0x2000, SECTION, 0, 3, 0, *stack, 0, 16
    )
    section = struct.pack("<8s6I2HI", b".text", 1, 0x1000, SECTION, SECTION, 0, 0, 0, 0, 0x60000020)
    headers = dos + b"PE\0\0" + file_header + base + windows + bytes(16 * 8) + section
    return headers.ljust(SECTION, b"\0") + b"\xc3".ljust(SECTION, b"\0")


def test_a_program_is_signed(
    token: TokenUnderTest, authority: LittleAuthority, tmp_path: Path
) -> None:
    make_pair(token, "rsa:2048", "0a", "publisher")
    leaf = certify(token, authority, "0a", "publisher", tmp_path)
    plain, signed = tmp_path / "plain.exe", tmp_path / "signed.exe"
    plain.write_bytes(program())
    chain, root = tmp_path / "chain.pem", tmp_path / "root.pem"
    chain.write_bytes(leaf.public_bytes(PEM) + authority.issuing.public_bytes(PEM))
    root.write_bytes(authority.root.public_bytes(PEM))

    key = ("-pkcs11module", token.module, "-pass", token.pin)
    which = ("-key", f"pkcs11:token={token.label};object=publisher;type=private", "-certs", chain)
    home = {"HOME": str(tmp_path)}
    sign = ("osslsigncode", "sign", *key, *which, "-h", "sha256", "-in", plain, "-out", signed)
    assert "Succeeded" in token.run(*sign, extra=home)

    verify = ("osslsigncode", "verify", "-CAfile", root, "-in", signed)
    assert "Signature verification: ok" in token.run(*verify, extra=home)
    signed.write_bytes(signed.read_bytes().replace(b"\xc3", b"\xcc", 1))
    assert "MISMATCH" in token.run(*verify, expect=1, extra=home)
