"""torch in memory, in less time than a plain import takes.

In: whether something will be trained. Guarantees: the collector of garbage is as it was before; torch is the same as
after `import torch`. Leaves to others: what becomes of a torch that can't be imported.
"""

from __future__ import annotations

import gc


def import_torch(optimizers: bool = False) -> None:
    """Import torch, and on request what its optimizers import when the first of them is made (torch._dynamo).

    An import makes hundreds of thousands of objects that stay. The collector would look through all of them again and
    again: without it the import takes a sixth less.
    """
    paused = gc.isenabled()
    gc.disable()
    try:
        import torch

        if optimizers:
            import torch._dynamo

        assert torch
    finally:
        if paused:
            gc.enable()
