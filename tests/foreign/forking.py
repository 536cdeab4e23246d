"""A program whose children sign with the key that it made: forking.py MODULE LABEL PIN HOW."""

import multiprocessing
import os
import sys
import threading
from contextlib import suppress

import pkcs11
from pkcs11 import KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters

MESSAGE = b"what was shown is what was signed"
CHILDREN, SIGNATURES = 3, 20
IDENT = b"forking"


def token(module: str, label: str, *, anew: bool) -> pkcs11.Token:
    library = pkcs11.lib(module)
    if anew:  # what was initialised in the parent is not in the child
        with suppress(pkcs11.PKCS11Error):
            library.finalize()  # it is not initialised here, and python-pkcs11 does not know
        library.initialize()
    return library.get_token(token_label=label)


def sign(module: str, label: str, pin: str, anew: bool) -> int:
    """Sign with the key of the token and verify; tell how many were right."""
    with token(module, label, anew=anew).open(user_pin=pin) as session:
        private = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, id=IDENT)
        public = session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, id=IDENT)
        right = 0
        for _ in range(SIGNATURES):
            signature = private.sign(MESSAGE, mechanism=Mechanism.ECDSA_SHA256)
            right += public.verify(MESSAGE, signature, mechanism=Mechanism.ECDSA_SHA256)
        return right


def fork_and_sign(*arguments: object) -> int:
    """Do so in a child of os.fork, which answers with its exit code."""
    child = os.fork()
    if child == 0:
        os._exit(sign(*arguments))  # type: ignore[arg-type]
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    module, label, pin, how = sys.argv[1:]
    with token(module, label, anew=False).open(rw=True, user_pin=pin) as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        domain = session.create_domain_parameters(KeyType.EC, curve, local=True)
        _, private = domain.generate_keypair(store=True, id=IDENT)
        stop = threading.Event()

        def keep_on() -> None:
            while not stop.is_set():
                private.sign(MESSAGE, mechanism=Mechanism.ECDSA_SHA256)

        forks = how != "spawn"
        thread = threading.Thread(target=keep_on)
        if not forks:  # python-pkcs11's own lock would be held for ever in a forked child
            thread.start()
        try:
            arguments = (module, label, pin, forks)
            if how == "os":
                right = sum(fork_and_sign(*arguments) for _ in range(CHILDREN))
            else:
                with multiprocessing.get_context(how).Pool(CHILDREN) as pool:
                    right = sum(pool.starmap(sign, [arguments] * CHILDREN, chunksize=1))
        finally:
            stop.set()
            if not forks:
                thread.join()
        private.sign(MESSAGE, mechanism=Mechanism.ECDSA_SHA256)  # the parent's login is still there
        sys.stdout.write(f"{right} right in children\n")


if __name__ == "__main__":
    main()
