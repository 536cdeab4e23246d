"""A token as a card in a reader, for programs that speak to it through PC/SC."""

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_der_public_key
from little_authority import DER, LittleAuthority
from token_under_test import TokenUnderTest

OPENSC = "opensc-pkcs11.so"


class CardUnderTest:
    """The token as a card in a reader, for programs that speak to it through PC/SC."""

    def __init__(self, token: TokenUnderTest, socket: Path, folder: Path) -> None:
        self.token = token
        self.folder = folder
        self._extra = {
            "PCSCLITE_CSOCK_NAME": str(socket),
            "XDG_DATA_HOME": str(folder),  # ykman writes down which keys it has seen
        }

    def run(
        self,
        *words: str | Path,
        expect: int = 0,
        stdin: str = "",
        extra: Mapping[str, str] | None = None,
    ) -> str:
        """Run a program; see `TokenUnderTest.run`."""
        both = {**self._extra, **(extra or {})}
        return self.token.run(*words, expect=expect, stdin=stdin, extra=both, cwd=self.folder)

    def openssl(self, *words: str | Path, expect: int = 0) -> str:
        """Run OpenSSL, which knows nothing of the card."""
        return self.token.run("openssl", *words, expect=expect, cwd=self.folder)

    def ours(self, *words: str | Path, expect: int = 0) -> str:
        """Run pkcs11-tool on our module, logged in."""
        slot = ("--slot", str(self.token.slot), "--login", "--pin", self.token.pin)
        return self.run("pkcs11-tool", "--module", self.token.module, *slot, *words, expect=expect)

    def enrolled(self, ident: str, kind: str) -> Path:
        """Have a key made and its certificate stored through our module; give its public key."""
        public = self.folder / f"{ident}.pub"
        self.ours("--keypairgen", "--key-type", kind, "--id", ident, "--label", f"of {ident}")
        read = ("--read-object", "--type", "pubkey", "--id", ident, "-o", public)
        self.ours(*read)
        key = load_der_public_key(public.read_bytes())
        certificate = LittleAuthority().issue(key, "Holder")  # type: ignore[arg-type]
        name = self.write(f"{ident}.der", certificate.public_bytes(DER))
        self.ours("--write-object", name, "--type", "cert", "--id", ident)
        return public

    def yubico(self, *words: str | Path, expect: int = 0) -> str:
        """Run yubico-piv-tool."""
        return self.run("yubico-piv-tool", "--reader=ukeylab", *words, expect=expect)

    def opensc(self, *words: str | Path, expect: int = 0) -> str:
        """Run pkcs11-tool on OpenSC's own module, which knows nothing but the card."""
        return self.run("pkcs11-tool", "--module", OPENSC, *words, expect=expect)

    def certified(self, slot: str, algorithm: str) -> Path:
        """Have a key made, and its attestation for its certificate; give its public key."""
        public, certificate = f"{slot}.pub", f"{slot}.pem"
        self.yubico("-a", "generate", "-s", slot, "-A", algorithm, "-o", public)
        self.yubico("-a", "attest", "-s", slot, "-o", certificate)
        self.yubico("-a", "import-certificate", "-s", slot, "-i", certificate)
        return self.folder / public

    def verify(self, public: Path, signature: str, *options: str) -> None:
        """Have OpenSSL judge a signature of the digest."""
        words = ("-verify", "-pubin", "-inkey", public, "-in", "digest", "-sigfile", signature)
        self.openssl("pkeyutl", *words, *options)

    def write(self, name: str, content: bytes) -> str:
        """Put a file into the folder where programs run."""
        (self.folder / name).write_bytes(content)
        return name
