"""Reading Room: a library's privacy policy, kept by its machines and proved on them."""

__version__ = "0.1.0"
