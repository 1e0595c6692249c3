"""The controls: every promise the toolkit can make, declared once in `policies/controls/`."""

from .catalogue import Catalogue, load
from .model import Control, Key, Kind

__all__ = ["Catalogue", "Control", "Key", "Kind", "load"]
