"""Binding a certificate to the unit's old account (CA用户绑定)."""

from ukey_client.login.portal import LoginResult, Portal

__all__ = ["bind"]


def bind(portal: Portal, user: str, password: str) -> LoginResult:
    """Bind the account to the certificate with which this session was begun.

    PortalRefused carries the portal's word for it: `bad_credentials` (with `tries_left`),
    `account_locked`, `account_of_another_unit`, `not_in_bind_state`.
    """
    return portal.bind(user, password)
