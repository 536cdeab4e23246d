"""One key behind a PKCS#11 module."""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import pkcs11
from cryptography import x509
from pkcs11 import Attribute, CertificateType, ObjectClass, TokenFlag
from pkcs11.types import PROTECTED_AUTH
from pkcs11.util.x509 import decode_x509_certificate

from ukey_client.errors import (
    CertificateDamaged,
    KeyAbsent,
    PinIncorrect,
    PinLocked,
    PinNotSet,
    PinUnacceptable,
    TokenFailed,
    TokenNotInitialised,
    TokenRemoved,
)
from ukey_client.token.cryptoki import pairs, signing
from ukey_client.token.cryptoki.attributes import (
    find,
    find_one,
    read,
    read_tries_left,
    tolerant_mapper,
)
from ukey_client.token.cryptoki.faults import name_of, translated
from ukey_client.token.cryptoki.holdings import list_holdings, relabel
from ukey_client.token.cryptoki.module import Module
from ukey_client.token.cryptoki.seal import read_seal
from ukey_client.token.cryptoki.slots import choose_token, choose_tokens, serial_of
from ukey_client.token.cryptoki.token_info import read_pin_limits
from ukey_client.token.port import HeldCertificate, Holding, Pair, PinLimits, PinState
from ukey_client.token.uri import TokenUri

_PIN_REFUSED = (pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinTooWeak)


class CryptokiToken:
    """A key that is reached through PKCS#11; see the port `Token` for what each method does."""

    def __init__(self, module: Module, token: pkcs11.Token) -> None:
        """Take over an acquired module, and let go of it when this is closed."""
        self._module = module
        self._token = token
        self._pin: str | None = None
        self._login: pkcs11.Session | None = None
        self._mapper = tolerant_mapper()
        self._closed = False
        try:
            self._session = self._open_session()
        except BaseException:
            module.release()
            raise

    # --- what it is -------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """Name of the token."""
        return self._token.label

    @property
    def serial(self) -> str:
        """Serial number of the token."""
        return serial_of(self._token)

    @property
    def model(self) -> str:
        """Model, as the key tells it."""
        return self._token.model

    @property
    def logged_in(self) -> bool:
        """Whether the user is logged in."""
        return self._login is not None

    @property
    def has_own_pin_entry(self) -> bool:
        """Whether the PIN is typed on the key itself."""
        return bool(self._token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH)

    # --- the PIN ----------------------------------------------------------------------------

    def pin_state(self) -> PinState:
        """Read the flags anew: python-pkcs11's token keeps those of the time it was listed."""
        with translated("读取状态"):
            flags = self._token.slot.get_token().flags
        return PinState(
            tries_left=read_tries_left(self._session),
            low=bool(flags & TokenFlag.USER_PIN_COUNT_LOW),
            final_try=bool(flags & TokenFlag.USER_PIN_FINAL_TRY),
            locked=bool(flags & TokenFlag.USER_PIN_LOCKED),
        )

    def pin_limits(self) -> PinLimits:
        """How many bytes a PIN may have."""
        return read_pin_limits(self._module.path, self._token.slot.slot_id)

    def login(self, pin: str | None) -> None:
        """Log in on a session of its own, so that logging out can end it.

        After a refused PIN python-pkcs11 leaves that session open and does not give it out: it
        lives until the module is finalised, which `close` does.
        """
        self.logout()
        with self._pin_faults("登录"):
            self._login = self._token.open(
                rw=self._session.rw,
                user_pin=PROTECTED_AUTH if pin is None else pin,
                attribute_mapper=self._mapper,
            )
        self._pin = pin

    def logout(self) -> None:
        """End the login, if there is one."""
        login, self._login, self._pin = self._login, None, None
        if login is not None:
            with translated("注销"), contextlib.suppress(pkcs11.UserNotLoggedIn):
                login.close()

    def change_pin(self, old: str, new: str) -> None:
        """C_SetPIN in a session without login (PKCS#11 v3.2 §5.5.9)."""
        self.logout()
        with self._pin_faults("修改口令"):
            self._session.set_pin(old, new)

    @contextlib.contextmanager
    def _pin_faults(self, action: str) -> Iterator[None]:
        with translated(action):
            try:
                yield
            except pkcs11.PinIncorrect as error:
                state = self.pin_state()
                if state.locked or state.tries_left == 0:
                    raise PinLocked(just_now=True) from error
                raise PinIncorrect(
                    state.tries_left, low=state.low, final_try=state.final_try
                ) from error
            except pkcs11.PinLocked as error:
                raise PinLocked from error
            except (pkcs11.UserPinNotInitialized, pkcs11.PinExpired) as error:
                raise PinNotSet from error
            except _PIN_REFUSED as error:
                if action == "登录":
                    raise PinIncorrect from error
                raise PinUnacceptable(self._length_rule() or name_of(error)) from error

    def _length_rule(self) -> str:
        limits = self.pin_limits()
        if limits.shortest is None or limits.longest is None:
            return ""
        return f"长度应为 {limits.shortest} 到 {limits.longest} 位"

    # --- certificates and the seal ----------------------------------------------------------

    def certificates(self) -> list[HeldCertificate]:
        """Certificates of holders; after login only those whose private key is here."""
        with translated("读取证书"):
            held = [one for one in self._all_certificates() if not _is_authority(one)]
            if not self.logged_in:
                return held
            keys = {
                read(key, Attribute.ID, b"")
                for key in find(self._session, {Attribute.CLASS: ObjectClass.PRIVATE_KEY})
            }
            return [one for one in held if one.id in keys]

    def authorities(self) -> list[x509.Certificate]:
        """CA certificates on the key."""
        with translated("读取证书"):
            return [one.certificate for one in self._all_certificates() if _is_authority(one)]

    def certificate_by_id(self, id_: bytes) -> HeldCertificate | None:
        """Read the certificate with this CKA_ID anew."""
        with translated("读取证书"):
            return next((one for one in self._all_certificates() if one.id == id_), None)

    def _all_certificates(self) -> list[HeldCertificate]:
        held = []
        for found in find(self._session, {Attribute.CLASS: ObjectClass.CERTIFICATE}):
            if read(found, Attribute.CERTIFICATE_TYPE, default=None) is CertificateType.X_509:
                der = bytes(read(found, Attribute.VALUE, b""))
                label = str(read(found, Attribute.LABEL, ""))
                held.append(HeldCertificate(bytes(read(found, Attribute.ID, b"")), label, der))
        return held

    def seal_picture(self) -> bytes | None:
        """Read the data object with the seal, ours before another of the same name."""
        with translated("读取印章"):
            return read_seal(self._session, logged_in=self.logged_in)

    # --- keys -------------------------------------------------------------------------------

    def sign(self, certificate: HeldCertificate, data: bytes, digest: str = "sha256") -> bytes:
        """Sign with the certificate's private key."""
        return self._sign(certificate.id, data, digest, certificate.owner)

    def sign_with(self, id_: bytes, data: bytes, digest: str = "sha256") -> bytes:
        """Sign with the private key of this CKA_ID."""
        return self._sign(id_, data, digest, id_.hex())

    def _sign(self, id_: bytes, data: bytes, digest: str, owner: str) -> bytes:
        self._require_login("签名")
        with translated("签名"):
            key = find_one(self._session, ObjectClass.PRIVATE_KEY, id_)
            if key is None:
                raise KeyAbsent(owner)
            return signing.sign(key, data, digest, self._pin)

    def holdings(self) -> list[Holding]:
        """Everything that has a CKA_ID, whole or not."""
        self._require_login("读取证书和密钥")
        with translated("读取证书和密钥"):
            return list_holdings(self._session, self._all_certificates())

    def generate_pair(self, like: HeldCertificate, label: str | None = None) -> Pair:
        """Make a pair of the kind of the certificate's."""
        self._require_login("生成密钥")
        with translated("生成密钥"):
            return pairs.generate(self._session, like.certificate.public_key(), label or like.label)

    def install_certificate(self, der: bytes, id_: bytes, label: str) -> HeldCertificate:
        """Write a certificate and read it back."""
        self._require_login("写入证书")
        try:
            template = decode_x509_certificate(der)
        except (ValueError, TypeError) as error:
            raise CertificateDamaged(label) from error
        template |= {Attribute.ID: id_, Attribute.LABEL: label, Attribute.TOKEN: True}
        with translated("写入证书"):
            self._session.create_object(template)
            written = [one for one in self._all_certificates() if one.id == id_ and one.der == der]
        if not written:
            raise TokenFailed("写入证书", "读回的内容不一致")
        return written[0]

    def relabel(self, id_: bytes, label: str) -> None:
        """Give certificate and keys another label."""
        self._require_login("修改标签")
        if id_:
            with translated("修改标签"):
                relabel(self._session, id_, label)

    def remove(self, id_: bytes) -> None:
        """Take away the certificate last: if this breaks, it says what the rest was."""
        self._require_login("删除旧证书")
        if not id_:
            return
        with translated("删除旧证书"):
            for object_class in (
                ObjectClass.PRIVATE_KEY,
                ObjectClass.PUBLIC_KEY,
                ObjectClass.CERTIFICATE,
            ):
                template = {Attribute.CLASS: object_class, Attribute.ID: id_}
                for found in find(self._session, template):
                    found.destroy()

    def _require_login(self, action: str) -> None:
        if not self.logged_in:
            raise TokenFailed(action, "尚未输入证书口令")

    # --- sessions ---------------------------------------------------------------------------

    def _open_session(self) -> pkcs11.Session:
        """Read-write where the key allows it: writing a certificate and C_SetPIN need it."""
        with translated("打开"):
            try:
                return self._token.open(rw=True, attribute_mapper=self._mapper)
            except pkcs11.TokenWriteProtected:
                return self._token.open(rw=False, attribute_mapper=self._mapper)
            except pkcs11.TokenNotRecognised as error:
                raise TokenNotInitialised from error

    def close(self) -> None:
        """Log out and let go of the key; a key that has gone is let go of as well."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(TokenRemoved, TokenFailed):
            self.logout()
        with contextlib.suppress(pkcs11.PKCS11Error):
            self._session.close()
        self._module.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_token(module: str, uri: str | None = None) -> CryptokiToken:
    """Open the key that is meant on this PKCS#11 module.

    `uri` is an RFC 7512 URI; without it, the only key that is plugged in is taken.
    """
    loaded, wanted = _load(module, uri)
    try:
        token = choose_token(loaded.library, wanted)
    except BaseException:
        loaded.release()
        raise
    return CryptokiToken(loaded, token)


def open_tokens(module: str, uri: str | None = None) -> list[CryptokiToken]:
    """Open every key that is plugged in, or that the URI fits; at least one."""
    loaded, wanted = _load(module, uri)
    opened: list[CryptokiToken] = []
    try:
        opened.extend(
            CryptokiToken(Module.acquire(loaded.path), token)
            for token in choose_tokens(loaded.library, wanted)
        )
    except BaseException:
        for one in opened:
            one.close()
        raise
    finally:
        loaded.release()
    return opened


def _load(module: str, uri: str | None) -> tuple[Module, TokenUri | None]:
    wanted = TokenUri.parse(uri) if uri else None
    path = module or (wanted.module_path if wanted else None) or ""
    return Module.acquire(path), wanted


def _is_authority(held: HeldCertificate) -> bool:
    try:
        return held.is_authority
    except CertificateDamaged:
        return False
