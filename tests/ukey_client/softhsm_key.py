"""A key on SoftHSM2, provisioned by these tests themselves: the stand-in for a vendor's key."""

import io
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from PIL import Image, ImageDraw
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key
from pkcs11.util.x509 import decode_x509_certificate
from small_ca import SmallCa

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN, SO_PIN = "123456", "12345678"
UNIT = "石家庄试用科技有限公司"
LABEL = "测试介质"


@dataclass(frozen=True)
class Key:
    """One provisioned key, reachable while SOFTHSM2_CONF names its store."""

    label: str
    certificate: x509.Certificate
    id: bytes
    module: str = MODULE
    pin: str = PIN


def configure(folder: Path, *, mechanisms: str | None = None) -> None:
    """Point SoftHSM at a store of its own."""
    (folder / "tokens").mkdir(parents=True, exist_ok=True)
    lines = [
        f"directories.tokendir = {folder / 'tokens'}",
        "objectstore.backend = file",
        "log.level = ERROR",
        "slots.removable = false",
    ]
    if mechanisms:
        lines.append(f"slots.mechanisms = {mechanisms}")
    (folder / "softhsm2.conf").write_text("\n".join(lines) + "\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")


def init_token(label: str = LABEL) -> None:
    subprocess.run(
        [
            *f"softhsm2-util --init-token --free --pin {PIN} --so-pin {SO_PIN}".split(),
            "--label",
            label,
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


class Library:
    """python-pkcs11's library on the store that the environment names now."""

    def __init__(self, module: str = MODULE) -> None:
        self._module = module

    def __enter__(self) -> Any:
        self._library = pkcs11.lib(self._module)
        self._library.reinitialize()  # SoftHSM reads its settings when it is initialised
        return self._library

    def __exit__(self, *_: object) -> None:
        self._library.finalize()


def provision(
    ca: SmallCa,
    *,
    label: str = LABEL,
    kind: str = "rsa2048",
    unit: str = UNIT,
    starts: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=364),
    with_seal: bool = True,
    with_chain: bool = True,
    module: str = MODULE,
    **wishes: Any,
) -> Key:
    """Make a pair on the token, have it certified, write certificate, chain and seal."""
    with Library(module) as library:
        token = library.get_token(token_label=label)
        with token.open(rw=True, user_pin=PIN) as session:
            public, private = make_pair(session, kind)
            public_key = read_public(public)
            id_ = x509.SubjectKeyIdentifier.from_public_key(public_key).digest
            for half in (public, private):
                half[Attribute.ID] = id_
                half[Attribute.LABEL] = unit
            certificate = ca.issue(public_key, unit, starts=starts, ends=ends, **wishes)
            write_certificate(session, certificate, id_, unit)
            if with_chain:
                for authority in (ca.issuing, ca.root):
                    write_certificate(session, authority, b"", "CA")
            if with_seal:
                write_seal(session, seal_picture())
    return Key(label, certificate, id_, module)


def make_pair(session: Any, kind: str) -> tuple[Any, Any]:
    if kind.startswith("rsa"):
        return session.generate_keypair(KeyType.RSA, int(kind.removeprefix("rsa")), store=True)
    curve = {"p256": "secp256r1", "p384": "secp384r1"}[kind]
    group = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
    )
    return group.generate_keypair(store=True)


def read_public(public: Any) -> Any:
    if public.key_type is KeyType.RSA:
        return load_der_public_key(encode_rsa_public_key(public))
    return load_der_public_key(encode_ec_public_key(public))


def write_certificate(session: Any, certificate: x509.Certificate, id_: bytes, label: str) -> None:
    template = decode_x509_certificate(certificate.public_bytes(Encoding.DER))
    template |= {Attribute.ID: id_, Attribute.LABEL: label, Attribute.TOKEN: True}
    session.create_object(template)


def write_seal(session: Any, picture: bytes) -> None:
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.DATA,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: False,
            Attribute.APPLICATION: "ukeylab",
            Attribute.LABEL: "电子印章",
            Attribute.VALUE: picture,
        }
    )


def seal_picture() -> bytes:
    """Draw a red ring with a cross that has one long arm, up: its turning can be seen."""
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    red = (0xD7, 0x00, 0x0F, 255)
    draw.ellipse((5, 5, 295, 295), outline=red, width=10)
    draw.rectangle((140, 40, 160, 160), fill=red)
    draw.rectangle((110, 140, 190, 160), fill=red)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


class Templates:
    """Provisioned stores, made once and copied for each test: making RSA keys takes time."""

    def __init__(self, ca: SmallCa, folder: Path) -> None:
        self._ca = ca
        self._folder = folder
        self._made: dict[str, Key] = {}

    def copy_to(self, folder: Path, kind: str, **wishes: Any) -> Key:
        name = "-".join([kind, *(f"{key}={wishes[key]}" for key in sorted(wishes))])
        if name not in self._made:
            place = self._folder / str(len(self._made))
            configure(place)
            init_token()
            self._made[name] = provision(self._ca, kind=kind, **wishes)
            (place / "name").write_text(name)
        place = self._folder / str(list(self._made).index(name))
        configure(folder)
        shutil.copytree(place / "tokens", folder / "tokens", dirs_exist_ok=True)
        return self._made[name]
