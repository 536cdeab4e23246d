"""Deriving keys (PKCS#11 3.2 §5.18.5): KM, third part."""

from ukey_harness.cases.case import NotApplicable, Section
from ukey_harness.cases.pkcs11.keys import More, ec, ec_point, ec_templates
from ukey_harness.cases.pkcs11.needs import all_of, mechanism, version
from ukey_harness.cases.pkcs11.objects import BOGUS, without
from ukey_harness.cases.pkcs11.stand import Stand, truth
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Template, ecdh
from ukey_harness.cryptoki.names import CKA, CKF, CKK, CKM, CKO

keys_derived = Section("PKCS#11 3.2", "Deriving keys")

ECDH = all_of(
    mechanism(CKM.EC_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR),
    mechanism(CKM.ECDH1_DERIVE, use=CKF.DERIVE),
)
OFF_CURVE = b"\4" + bytes(31) + b"\1" + bytes(31) + b"\1"  # (1, 1) does not lie on P-256
DERIVED = "ukeylab-case derived"


def template(more: More | None = None) -> More:
    """Return the template of a derived key whose value can be read."""
    return {
        CKA.CLASS: CKO.SECRET_KEY,
        CKA.KEY_TYPE: CKK.GENERIC_SECRET,
        CKA.VALUE_LEN: 32,
        CKA.TOKEN: False,
        CKA.PRIVATE: False,
        CKA.LABEL: DERIVED,
        CKA.SENSITIVE: False,
        CKA.EXTRACTABLE: True,
        **(more or {}),
    }


def derived(
    stand: Stand, session: int, how: Mechanism, base: int, more: More | None = None
) -> tuple[str, int]:
    """C_DeriveKey; return its name and the key's handle."""
    cell = Cell()
    name = stand.rv("DeriveKey", session, how, base, Template(template(more)), cell)
    return name, cell.value


@keys_derived.case(
    "KM-31",
    "6.3",
    "Both sides of a key agreement derive the same key, which is not local.",
    "OK, OK, same, no",
    needs=(ECDH,),
)
def _km_31(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    (public_a, private_a), (public_b, private_b) = ec(stand, session), ec(stand, session)
    points = ec_point(stand, session, public_a), ec_point(stand, session, public_b)
    first, one = derived(stand, session, ecdh(points[1]), private_a)
    second, two = derived(stand, session, ecdh(points[0]), private_b)
    if first != "OK" or second != first:
        return first, second
    values = [stand.attribute(session, each, CKA.VALUE) for each in (one, two)]
    same = values[0] == values[1] and values[0] is not None and len(values[0]) == 32  # noqa: PLR2004
    local = truth(stand.attribute(session, one, CKA.LOCAL))
    return first, second, "same" if same else "differ", local


@keys_derived.case(
    "KM-32",
    "5.18.5",
    "A key that must not derive does not.",
    "KEY_FUNCTION_NOT_PERMITTED",
    needs=(ECDH,),
)
def _km_32(stand: Stand) -> str:
    session = stand.user()
    public, private = ec(stand, session, {CKA.DERIVE: False})
    point = ec_point(stand, session, public)
    return derived(stand, session, ecdh(point), private)[0]


@keys_derived.case(
    "KM-33",
    "5.18.5",
    "A point that does not lie on the curve is no public key.",
    "PUBLIC_KEY_INVALID",
    allow=(
        "MECHANISM_PARAM_INVALID | DOMAIN_PARAMS_INVALID | ARGUMENTS_BAD | ATTRIBUTE_VALUE_INVALID",
    ),
    needs=(ECDH,),
)
def _km_33(stand: Stand) -> str:
    session = stand.user()
    return derived(stand, session, ecdh(OFF_CURVE), ec(stand, session)[1])[0]


@keys_derived.case(
    "KM-34",
    "5.18.5",
    "A key agreement without the other side's point is refused.",
    "MECHANISM_PARAM_INVALID",
    needs=(ECDH,),
)
def _km_34(stand: Stand) -> str:
    session = stand.user()
    return derived(stand, session, Mechanism(CKM.ECDH1_DERIVE), ec(stand, session)[1])[0]


@keys_derived.case(
    "KM-40",
    "5.18.5",
    "A key whose derivation failed is not there.",
    "refused, 0",
    needs=(ECDH,),
)
def _km_40(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    public, private = ec(stand, session)
    point = ec_point(stand, session, public)
    name, _ = derived(stand, session, ecdh(point), private, {BOGUS: b"x"})
    return "refused" if name != "OK" else name, stand.labelled(session, DERIVED)


@keys_derived.case(
    "KM-51",
    "5.18.5",
    "What a key was is so of what is derived from it: sensitive always and extractable never only "
    "where both are.",
    "yes, yes, no, no, no, no",
    needs=(ECDH,),
)
def _km_51(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    seen: list[str] = []
    shut: More = {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}
    open_: More = {CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
    for base, more in ((shut, shut), (shut, open_), (open_, shut)):
        public, private = ec(stand, session, base)
        how = ecdh(ec_point(stand, session, public))
        name, key = derived(stand, session, how, private, more)
        if name != "OK":
            return (*seen, name)
        seen += stand.truths(session, key, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)
    return tuple(seen)


@keys_derived.case(
    "KM-52",
    "6.3",
    "No key is derived that is longer than what was agreed upon.",
    "refused, 0",
    needs=(ECDH,),
)
def _km_52(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    public, private = ec(stand, session)
    how = ecdh(ec_point(stand, session, public))
    name, _ = derived(stand, session, how, private, {CKA.VALUE_LEN: 64})
    return "refused" if name != "OK" else name, stand.labelled(session, DERIVED)


@keys_derived.case(
    "KM-55",
    "4.11",
    "What the base key's template says is so of each key that is derived; what contradicts it is "
    "refused.",
    "OK, no, TEMPLATE_INCONSISTENT",
    needs=(version(3, 0), ECDH),
)
def _km_55(stand: Stand) -> tuple[str, ...]:
    session, handles = stand.user(), (Cell(), Cell())
    forced: More = {CKA.DERIVE_TEMPLATE: {CKA.EXTRACTABLE: False}}
    templates = [Template(each) for each in ec_templates(forced)]
    made = stand.rv(
        "GenerateKeyPair", session, Mechanism(CKM.EC_KEY_PAIR_GEN), *templates, *handles
    )
    if made == "ATTRIBUTE_TYPE_INVALID":
        raise NotApplicable("The token has no CKA_DERIVE_TEMPLATE.")
    if made != "OK":
        return (made,)
    how = ecdh(ec_point(stand, session, handles[0].value))
    silent = without(template(), CKA.EXTRACTABLE)
    cell, base = Cell(), handles[1].value
    first = stand.rv("DeriveKey", session, how, base, Template(silent), cell)
    told = stand.truths(session, cell.value, CKA.EXTRACTABLE)
    return first, *told, derived(stand, session, how, base)[0]
