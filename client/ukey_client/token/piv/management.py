"""The management key (9B), without which nothing is written on a PIV card.

A holder does not know it: it is the default one, or it lies on the card behind the PIN, as ykman
leaves it there (`ykman piv access change-management-key --protect`).
"""

import hashlib
from typing import Final

from ukey_client.errors import ManagementKeyUnknown
from ukey_client.token.piv import tlv
from ukey_client.token.piv.card import PivCard, Refused
from ukey_client.token.piv.ciphers import AES_128, AES_192, AES_256, TRIPLE_DES
from ukey_client.token.piv.slots import ADMIN_DATA, MANAGEMENT, PRINTED_INFORMATION

DEFAULT: Final = bytes.fromhex("0102030405060708") * 3
# ykman's objects: admin data 80 { 81 flags, 82 salt }, and behind the PIN 88 { 89 key }.
_ADMIN, _FLAGS, _SALT = 0x80, 0x81, 0x82
_PROTECTED, _KEY = 0x88, 0x89
_KEY_IS_STORED: Final = 0x02
_ROUNDS: Final = 10_000
_ALGORITHM: Final = 0x01  # in the metadata
_BY_LENGTH: Final = {16: (AES_128,), 24: (TRIPLE_DES, AES_192), 32: (AES_256,)}


def prove(card: PivCard, pin: str) -> None:
    """Authenticate as the management, after the PIN; ManagementKeyUnknown if that cannot be.

    The key that the card keeps behind the PIN is tried first, then the default one.
    """
    told = (card.metadata(MANAGEMENT) or {}).get(_ALGORITHM, b"")
    for key in [*_kept(card, pin), DEFAULT]:
        for algorithm in told or _BY_LENGTH.get(len(key), ()):
            if card.prove_management(algorithm, key):
                return
    raise ManagementKeyUnknown


def _kept(card: PivCard, pin: str) -> list[bytes]:
    """Find the key that lies behind the PIN, or is made from it (as ykman once did)."""
    try:
        admin = tlv.find(card.get_data(ADMIN_DATA) or b"", _ADMIN) or b""
        flags = int.from_bytes(tlv.find(admin, _FLAGS) or b"", "big")
        if flags & _KEY_IS_STORED:
            printed = card.get_data(PRINTED_INFORMATION) or b""
            key = tlv.find(tlv.find(printed, _PROTECTED) or b"", _KEY)
            return [key] if key else []
        salt = tlv.find(admin, _SALT)
    except (Refused, tlv.TlvError):
        return []
    if not salt:
        return []
    return [hashlib.pbkdf2_hmac("sha1", pin.encode(), salt, _ROUNDS, len(DEFAULT))]
