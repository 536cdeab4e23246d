"""What fresh keys of a profile hold, as objects."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ukey_emulator.chip import making
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import FALSE, TRUE, boolean, number
from ukey_emulator.chip.objects.object import table_of
from ukey_emulator.profiles.content import ENCRYPT, Certified, Content, Told
from ukey_emulator.terms import CKA, CKC, CKO

from .authority import Authority, new_key


def objects_of(content: tuple[Content, ...], authority: Authority) -> list[Object]:
    """Make the objects that a profile tells of; none is on a key yet.

    A Refusal where the key cannot hold one as it is told, ValueError for a subject that is none.
    """
    return [obj for each in content for obj in _objects(each, authority)]


def _objects(content: Content, authority: Authority) -> Iterator[Object]:
    match content:
        case Told(attributes, exact=True):
            told = dict(attributes)
            yield Object(told, table_of(told))
        case Told(attributes):
            yield making.create(attributes)
        case Certified():
            yield from _certified(content, authority)


def _certified(wanted: Certified, authority: Authority) -> Iterator[Object]:
    key = new_key(wanted.key)
    der = authority.certify(wanted, key)
    subject = x509.load_der_x509_certificate(der).subject.public_bytes()
    named = [
        (CKA.TOKEN, TRUE),
        (CKA.ID, wanted.ident),
        (CKA.LABEL, wanted.label.encode()),
        (CKA.SUBJECT, subject),
    ]
    encrypts, agrees = wanted.purpose == ENCRYPT, isinstance(key, ec.EllipticCurvePrivateKey)
    signs, deciphers = boolean(not encrypts), boolean(encrypts and not agrees)
    derives = (CKA.DERIVE, boolean(encrypts and agrees))
    public = [(CKA.PRIVATE, FALSE), (CKA.VERIFY, signs), (CKA.VERIFY_RECOVER, FALSE), derives]
    public += [(CKA.ENCRYPT, deciphers), (CKA.WRAP, deciphers)]
    private = [(CKA.PRIVATE, TRUE), (CKA.SENSITIVE, TRUE), (CKA.EXTRACTABLE, FALSE), derives]
    private += [(CKA.SIGN, signs), (CKA.SIGN_RECOVER, FALSE)]
    private += [(CKA.DECRYPT, deciphers), (CKA.UNWRAP, deciphers)]
    seen, hidden = making.adopt(key, named + public, named + private, generated=True)
    yield from (hidden, seen)
    certificate = [
        (CKA.CLASS, number(CKO.CERTIFICATE)),
        (CKA.CERTIFICATE_TYPE, number(CKC.X_509)),
        (CKA.PRIVATE, FALSE),
        (CKA.VALUE, der),
    ]
    yield making.create(named + certificate)
