"""What lies on a token, put together by CKA_ID: what a broken renewal left is seen here."""

from collections import defaultdict
from collections.abc import Iterable

import pkcs11
from pkcs11 import Attribute, ObjectClass

from ukey_client.token.cryptoki.attributes import find, read
from ukey_client.token.port import HeldCertificate, Holding


def list_holdings(
    session: pkcs11.Session, certificates: Iterable[HeldCertificate]
) -> list[Holding]:
    """Put certificates and keys of the same CKA_ID together, in a session after login.

    Objects without an id belong to nothing and are left out.
    """
    held = {one.id: one for one in certificates}
    private = _labels_by_id(session, ObjectClass.PRIVATE_KEY)
    public = _labels_by_id(session, ObjectClass.PUBLIC_KEY)
    return [
        Holding(
            id=id_,
            certificate=held.get(id_),
            has_private_key=id_ in private,
            key_labels=frozenset(private[id_] | public[id_]),
        )
        for id_ in sorted({*held, *private, *public} - {b""})
    ]


def relabel(session: pkcs11.Session, id_: bytes, label: str) -> None:
    """Give certificate and keys of this CKA_ID another CKA_LABEL."""
    for object_class in (
        ObjectClass.PRIVATE_KEY,
        ObjectClass.PUBLIC_KEY,
        ObjectClass.CERTIFICATE,
    ):
        template = {Attribute.CLASS: object_class, Attribute.ID: id_}
        for found in find(session, template):
            if read(found, Attribute.LABEL, None) != label:
                found[Attribute.LABEL] = label


def _labels_by_id(
    session: pkcs11.Session, object_class: ObjectClass
) -> defaultdict[bytes, set[str]]:
    labels: defaultdict[bytes, set[str]] = defaultdict(set)
    for found in find(session, {Attribute.CLASS: object_class}):
        id_ = bytes(read(found, Attribute.ID, b""))
        labels[id_].add(str(read(found, Attribute.LABEL, "")))
    return labels
