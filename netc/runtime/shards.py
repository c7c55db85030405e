"""The weights of a checkpoint that several processes wrote in shards, put together in one process.

In: the folder of shards that a `last.pt` of FSDP names. Out: whole tensors by their names. Guarantees: nothing that the
folder holds is executed, unlike with torch's own reader, which unpickles the list of the shards; and no process group
is needed. Leaves the state of the optimizer to `--resume`.

Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed.checkpoint.metadata import Metadata

_PARTS = ("model", "ema")
_KINDS = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties",
        "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo", "_StoragePrefix"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size"},
    "collections": {"OrderedDict"},
}  # fmt: skip


class _Metadata(pickle.Unpickler):
    """Reads a list of shards; any name in it but those that such a list consists of ends the reading."""

    def find_class(self, module: str, name: str, /) -> Any:
        if module.partition(".")[0] == "pathlib" and name.endswith("Path"):
            return PurePosixPath  # where the shards were written, on whatever system
        if name in _KINDS.get(module, ()):
            return super().find_class(module, name)
        if module == "torch":
            import torch

            kind = getattr(torch, name, None)
            if isinstance(kind, torch.dtype | torch.layout):
                return kind
        raise ValueError(f"{module}.{name} is not part of a checkpoint")


def whole_weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The state dicts `model` and, where it was kept, `ema`, of the shards in a folder.

    Raises:
        Exception: of many kinds, where a file is missing, cut short, or something else than a shard.
    """
    import torch
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    class Reader(FileSystemReader):
        def read_metadata(self, *_: Any, **__: Any) -> Metadata:
            return metadata

    with (folder / ".metadata").open("rb") as file:
        metadata = _listed(file)
    tensors: dict[str, Any] = {
        name: torch.empty(kept.size, dtype=kept.properties.dtype)
        for name, kept in metadata.state_dict_metadata.items()
        if name.partition(".")[0] in _PARTS and isinstance(kept, TensorStorageMetadata)
    }
    with warnings.catch_warnings(action="ignore"):  # that there are no other processes, which is meant
        try:
            load(tensors, storage_reader=Reader(folder), no_dist=True)
        except CheckpointException as problem:  # which is no `Exception`
            raise problem.failures[0][0] from None
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, inner = name.partition(".")
        found.setdefault(part, {})[inner] = tensor
    return found


def _listed(file: IO[bytes]) -> Metadata:
    from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

    metadata = _Metadata(file).load()
    if not isinstance(metadata, Metadata):
        raise ValueError(f"it lists no shards: it is a {type(metadata).__name__}")
    metadata.storage_meta = metadata.storage_meta or StorageMeta()
    return metadata
