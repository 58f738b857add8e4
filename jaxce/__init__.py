"""jaxce: cluster expansions as pure, batched, differentiable JAX functions.

The public names are in `__init__.pyi`. Each is imported when it is first used: scikit-learn, matplotlib and pandas take
longer to import than many a script that needs none of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
# PyTorch is optional: `from jaxce import *` must do without.
__all__.remove("torch")

__version__ = "0.1.0"
