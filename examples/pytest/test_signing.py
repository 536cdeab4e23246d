"""What the service does when the key hiccups, is pulled, hangs or refuses."""

import threading

import pytest
from signing import SigningError

pytestmark = pytest.mark.ukey(snapshot="prepared")


def test_signs_twice_with_one_login(ukey, signer):
    first, second = signer.sign(b"letter", ukey.pin), signer.sign(b"letter", ukey.pin)
    assert first == second
    ukey.trace.assert_called("C_Login", times=1, rv="CKR_OK")
    ukey.trace.assert_called("C_Sign", times=2, rv="CKR_OK")
    ukey.trace.assert_order("C_OpenSession", "C_Login", "C_SignInit", "C_Sign")


def test_a_wrong_pin_costs_one_try(ukey, signer):
    with pytest.raises(SigningError, match="not tried again"):
        signer.sign(b"letter", "999999")
    ukey.trace.assert_called("C_Login", times=1, rv="CKR_PIN_INCORRECT")


def test_a_hiccup_is_tried_again(ukey, signer):
    hiccup = ukey.faults.add(function="C_Sign", at=1, returns="CKR_DEVICE_ERROR")
    assert signer.sign(b"letter", ukey.pin)
    assert ukey.faults.fired(hiccup) == 1
    ukey.trace.assert_called("C_Sign", times=1, rv="CKR_DEVICE_ERROR")
    ukey.trace.assert_called("C_Sign", times=1, rv="CKR_OK")


def test_a_key_that_is_pulled_while_it_signs(ukey, signer):
    ukey.faults.add("pulled", function="C_Sign", at=1, pull="before")
    back = threading.Thread(target=lambda: (ukey.faults.wait("pulled"), ukey.plug()))
    back.start()
    assert signer.sign(b"letter", ukey.pin)
    back.join()
    ukey.trace.assert_called("C_Sign", times=1, rv="CKR_DEVICE_REMOVED")
    ukey.trace.assert_called("C_Login", times=2, rv="CKR_OK")


def test_a_key_that_stays_away(ukey, signer):
    signer.sign(b"letter", ukey.pin)
    ukey.unplug()
    with pytest.raises(SigningError, match="after 5 attempts"):
        signer.sign(b"letter", ukey.pin)
    ukey.plug()
    assert signer.sign(b"letter", ukey.pin)


@pytest.mark.ukey(faults=[{"function": "C_Sign", "returns": "CKR_DEVICE_ERROR"}])
def test_a_key_that_never_signs(ukey, signer):
    with pytest.raises(SigningError, match="after 5 attempts"):
        signer.sign(b"letter", ukey.pin)
    ukey.trace.assert_called("C_Sign", times=5, rv="CKR_DEVICE_ERROR")


def test_a_key_that_hangs_holds_nobody_else_up(ukey, signer):
    ukey.faults.add("stuck", function="C_Sign", at=1, hang=True)
    done = []
    thread = threading.Thread(target=lambda: done.append(signer.sign(b"letter", ukey.pin)))
    thread.start()
    ukey.faults.wait("stuck")
    assert not done
    ukey.faults.release("stuck")
    thread.join()
    assert done


@pytest.mark.ukey(snapshot=None, tries=3)
def test_a_locked_pin_is_said(ukey, signer):
    for _ in range(3):
        with pytest.raises(SigningError, match="not tried again"):
            signer.sign(b"letter", "999999")
    with pytest.raises(SigningError, match="the PIN is locked"):
        signer.sign(b"letter", ukey.pin)
