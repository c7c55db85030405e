"""What the server of `tests.forked` imports before it forks: all that a generated script, or netc, comes to import."""

import torch
import torch._dynamo  # by the first optimizer
import torch.distributed.checkpoint.state_dict
import torch.distributed.fsdp
import torch.nn.parallel
import torch.optim.swa_utils
import torch.utils.data
import tqdm

import netc.cli

__all__ = ["netc", "torch", "tqdm"]

torch.set_num_threads(1)
