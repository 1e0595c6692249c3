"""From a merged policy to plain data; see `site`."""

from .argument_specs import argument_specs
from .site import compile_site, compiled, variables

__all__ = ["argument_specs", "compile_site", "compiled", "variables"]
