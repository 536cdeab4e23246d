"""Objects of a key: what attributes they have and which rules keep them."""

from .object import Object
from .shelf import Shelf
from .templates import Origin, Template, amended, build

__all__ = ["Object", "Origin", "Shelf", "Template", "amended", "build"]
