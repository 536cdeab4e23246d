"""The social-insurance reporting portal of the world (社会保险网上申报系统). For tests only.

app = create_portal(PortalSettings(origin, folder, clock, trust_roots, intermediates))
add_account(app, "user", "password", Unit.example())
"""

from .app import add_account, close_portal, create_portal
from .refusals import PortalRefusal
from .settings import Limits, PortalSettings

__all__ = [
    "Limits",
    "PortalRefusal",
    "PortalSettings",
    "add_account",
    "close_portal",
    "create_portal",
]
