"""One key that is a PIV card in a reader."""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from cryptography import x509

from ukey_client.errors import (
    CertificateDamaged,
    HolderError,
    KeyAbsent,
    PinLocked,
    PinUnacceptable,
    SealHidden,
    TokenFailed,
)
from ukey_client.token.piv import contents, keys, objects
from ukey_client.token.piv.card import (
    SECURITY_STATUS,
    WRONG_DATA,
    PinStatus,
    PivCard,
    Refused,
)
from ukey_client.token.piv.contents import Contents, Place
from ukey_client.token.piv.faults import pin_presented, translated
from ukey_client.token.piv.line import Line
from ukey_client.token.piv.slots import CHUID, FACIAL_IMAGE, PIN, ROOTS, SIGNATURE
from ukey_client.token.piv.writing import Writing
from ukey_client.token.port import HeldCertificate, Holding, Pair, PinLimits, PinState

_TRIES = 0x06  # in the metadata of the PIN: in all, and left
_SHORTEST, _LONGEST = 6, 8  # bytes of a PIN, SP 800-73-4 Part 2 §2.4.3


class PivToken:
    """A key that is reached as a PIV card; see the port `Token` for what each method does.

    Its PIN is kept from `login` to `logout`: other programs on the same card may end the login
    between two acts, and keys of "PIN always" want the PIN for each signature.
    """

    def __init__(self, line: Line) -> None:
        """Take over the line to a card, and let go of it when this is closed.

        TokenFailed if there is no PIV application on the card, TokenRemoved.
        """
        self._line = line
        self._card = PivCard(line)
        self._pin: str | None = None
        self._found: Contents | None = None
        self._generation = line.generation
        with self._action("打开") as card:
            serial = card.serial()
            version = card.version()
            self._serial = objects.guid(card.get_data(CHUID)) if serial is None else str(serial)
            self._version = ".".join(map(str, version)) if version else ""

    # --- what it is -------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """Name of the reader: a PIV card has no name of its own."""
        return self._line.reader

    @property
    def serial(self) -> str:
        """Serial number, decimal as Yubico's cards tell it, or the GUID of the CHUID."""
        return self._serial

    @property
    def model(self) -> str:
        """PIV, and the version where the card tells it."""
        return f"PIV {self._version}".rstrip()

    @property
    def logged_in(self) -> bool:
        """Whether the PIN was given."""
        return self._pin is not None

    @property
    def has_own_pin_entry(self) -> bool:
        """Never: the PIN pads of readers are not used."""
        return False

    # --- the PIN ----------------------------------------------------------------------------

    def pin_state(self) -> PinState:
        """Ask the card: the metadata of the PIN, or an empty VERIFY."""
        with self._action("读取状态") as card:
            return _state_of(card, card.settle())

    def pin_limits(self) -> PinLimits:
        """As the standard has them: no card tells its own."""
        return PinLimits(_SHORTEST, _LONGEST)

    def login(self, pin: str | None) -> None:
        """VERIFY; a locked PIN is not tried."""
        self.logout()
        with self._action("登录") as card:
            self._require_unlocked(card)
            with pin_presented():
                card.verify((pin or "").encode())
        self._pin = pin

    def logout(self) -> None:
        """VERIFY with P1 FF, or a reset where the card does not know it."""
        if self._pin is None:
            return
        self._pin = None
        with self._action("注销") as card:
            try:
                card.forget_pin()
            except Refused:
                self._line.reset()

    def change_pin(self, old: str, new: str) -> None:
        """CHANGE REFERENCE DATA."""
        self.logout()
        limits = f"长度应为 {_SHORTEST} 到 {_LONGEST} 位"
        if not 0 < len(new.encode()) <= _LONGEST:
            raise PinUnacceptable(limits)
        with self._action("修改口令") as card:
            self._require_unlocked(card)
            try:
                with pin_presented():
                    card.change_pin(old.encode(), new.encode())
            except HolderError as error:
                refused = error.__cause__
                if isinstance(refused, Refused) and refused.status == WRONG_DATA:
                    raise PinUnacceptable(f"{limits}，有的卡只接受数字") from error
                raise

    @staticmethod
    def _require_unlocked(card: PivCard) -> None:
        if card.settle().blocked:
            raise PinLocked

    # --- certificates and the seal ----------------------------------------------------------

    def certificates(self) -> list[HeldCertificate]:
        """Certificates of holders whose key is here, as far as the card tells."""
        with self._action("读取证书") as card:
            found = self._read(card)
            return [
                one
                for one in found.certificates
                if not _is_authority(one) and (found.of_key(one.id) or one.is_damaged)
            ]

    def authorities(self) -> list[x509.Certificate]:
        """CA certificates: those under key references, and those of `msroots`."""
        with self._action("读取证书") as card:
            held = [one.certificate for one in self._read(card).certificates if _is_authority(one)]
            roots = objects.read_roots([card.get_data(tag) for tag in ROOTS])
            return list(dict.fromkeys([*held, *roots]))

    def certificate_by_id(self, id_: bytes) -> HeldCertificate | None:
        """Read the certificate with this identifier anew."""
        with self._action("读取证书") as card:
            found = self._read(card).certificates
            return next((one for one in found if one.id == id_), None)

    def seal_picture(self) -> bytes | None:
        """Read the seal from the object of the face, which the PIN guards."""
        with self._action("读取印章", login=self.logged_in) as card:
            try:
                return objects.read_seal(card.get_data(FACIAL_IMAGE) or b"")
            except Refused as refused:
                if refused.status == SECURITY_STATUS and not self.logged_in:
                    raise SealHidden from refused
                raise

    # --- keys -------------------------------------------------------------------------------

    def sign(self, certificate: HeldCertificate, data: bytes, digest: str = "sha256") -> bytes:
        """Sign with the certificate's private key."""
        return self._sign(certificate.id, data, digest, certificate.owner)

    def sign_with(self, id_: bytes, data: bytes, digest: str = "sha256") -> bytes:
        """Sign with the private key of this identifier."""
        return self._sign(id_, data, digest, id_.hex())

    def _sign(self, id_: bytes, data: bytes, digest: str, owner: str) -> bytes:
        with self._action("签名", login=True) as card:
            place = (self._found or self._read(card)).of_key(id_)
            if place is None or place.key is None:
                raise KeyAbsent(owner)
            block = keys.block_to_sign(place.key, data, digest)
            algorithm = keys.algorithm_of(place.key)
            if place.reference == SIGNATURE:
                self._verify_again(card)
            try:
                return card.sign(algorithm, place.reference, block)
            except Refused as refused:
                if refused.status != SECURITY_STATUS:
                    raise
            # A key that wants the PIN right before each use ("PIN always").
            self._verify_again(card)
            return card.sign(algorithm, place.reference, block)

    def holdings(self) -> list[Holding]:
        """Everything by the identifier of its key."""
        with self._action("读取证书和密钥", login=True) as card:
            found = self._read(card)
            ids = {one.id for one in found.places if one.has_key}
            ids |= {one.id for one in found.certificates}
            return [_holding(found, id_) for id_ in sorted(ids)]

    def generate_pair(self, like: HeldCertificate, label: str | None = None) -> Pair:
        """Make a pair under a key reference that is free."""
        with self._writing("生成密钥") as writing:
            return writing.generate(like, label or like.label)

    def install_certificate(self, der: bytes, id_: bytes, label: str) -> HeldCertificate:
        """Write a certificate beside its key and read it back."""
        with self._writing("写入证书") as writing:
            try:
                x509.load_der_x509_certificate(der)
            except (ValueError, x509.InvalidVersion) as error:
                raise CertificateDamaged(label) from error
            writing.install(der, id_, label)
        written = self.certificate_by_id(id_)
        if written is None or written.der != der:
            raise TokenFailed("写入证书", "读回的内容不一致")
        return written

    def relabel(self, id_: bytes, label: str) -> None:
        """Give another label; a pair that succeeded another takes its key reference."""
        with self._writing("修改标签") as writing:
            writing.relabel(id_, label)

    def remove(self, id_: bytes) -> None:
        """Take away the key, as far as the card can do that, and its certificate."""
        with self._writing("删除旧证书") as writing:
            writing.remove(id_)

    # --- acts -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _action(self, what: str, *, login: bool = False) -> Iterator[PivCard]:
        """Do what belongs together: nobody else comes between, and the application is selected."""
        if login and self._pin is None:
            raise TokenFailed(what, "尚未输入证书口令")
        with translated(what), self._card.transaction():
            if self._generation != self._line.generation:
                self._generation = self._line.generation
                self._found = None
            status = self._card.settle()
            if login and not status.verified:
                self._verify_again(self._card)
            yield self._card

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[Writing]:
        with self._action(what, login=True) as card:
            try:
                yield Writing(card, self._pin or "", self._read(card))
            finally:
                self._found = None

    def _verify_again(self, card: PivCard) -> None:
        """Present the PIN that the holder gave; one that is refused is never tried again."""
        pin, self._pin = self._pin or "", None
        with pin_presented():
            card.verify(pin.encode())
        self._pin = pin

    def _read(self, card: PivCard) -> Contents:
        self._found = contents.read(card)
        return self._found

    def close(self) -> None:
        """Log out and let go of the card; a card that has gone is let go of as well."""
        with contextlib.suppress(HolderError):
            self.logout()
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _state_of(card: PivCard, status: PinStatus) -> PinState:
    told = (card.metadata(PIN) or {}).get(_TRIES, b"")
    total, left = (told[0], told[1]) if len(told) == 2 else (None, status.tries_left)  # noqa: PLR2004 - two counts
    return PinState(
        tries_left=left,
        low=total is not None and left is not None and left < total,
        final_try=left == 1,
        locked=status.blocked or left == 0,
    )


def _holding(found: Contents, id_: bytes) -> Holding:
    place: Place | None = found.of_key(id_)
    return Holding(
        id=id_,
        certificate=next((one for one in found.certificates if one.id == id_), None),
        has_private_key=place is not None,
        key_labels=frozenset({place.label.text} if place is not None and place.label else ()),
    )


def _is_authority(held: HeldCertificate) -> bool:
    try:
        return held.is_authority
    except CertificateDamaged:
        return False
