"""What a derived key takes over from the keys it comes from (PKCS#11 3.2 §6.3.20, §6.43)."""

from ukey_emulator.terms import CKA, CKR

from .mechanisms import Heir
from .objects import Object
from .objects.kinds import FALSE, TRUE, boolean
from .refusal import Refusal


def before(heir: Heir, parents: tuple[Object, ...], wanted: dict[int, bytes]) -> None:
    """Set or check CKA_SENSITIVE and CKA_EXTRACTABLE in the template of a key to be derived.

    CKR_TEMPLATE_INCONSISTENT where it may not be less secret than its parents, and says so.
    """
    if heir is Heir.LIKE:
        for attribute in (CKA.SENSITIVE, CKA.EXTRACTABLE):
            wanted.setdefault(attribute, parents[0].attributes[attribute])
    if heir not in (Heir.BOUND, Heir.STRICT):
        return
    sensitive = any(parent.flag(CKA.SENSITIVE) for parent in parents)
    if sensitive and heir is Heir.STRICT and wanted.get(CKA.SENSITIVE, TRUE) != TRUE:
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, "what comes of a sensitive key is sensitive")
    if sensitive:
        wanted[CKA.SENSITIVE] = TRUE
    if any(not parent.flag(CKA.EXTRACTABLE) for parent in parents):
        wanted[CKA.EXTRACTABLE] = FALSE


def after(heir: Heir, parents: tuple[Object, ...], obj: Object) -> None:
    """Set CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE of a derived key.

    They need the same of all parents, of any of them in SP 800-108 (§6.42.8).
    """
    enough = any if heir is Heir.LIKE else all
    always = enough(parent.flag(CKA.ALWAYS_SENSITIVE) for parent in parents)
    never = enough(parent.flag(CKA.NEVER_EXTRACTABLE) for parent in parents)
    if heir in (Heir.FREE, Heir.LIKE):
        always = always and obj.flag(CKA.SENSITIVE)
        never = never and not obj.flag(CKA.EXTRACTABLE)
    obj.attributes[CKA.ALWAYS_SENSITIVE] = boolean(always)
    obj.attributes[CKA.NEVER_EXTRACTABLE] = boolean(never)
