"""Language models, sequence models, autoencoders and the like against small references written here in torch.

A reference has the names of the network's own children wherever it can, and takes its state dict strictly.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.models.referee import MODELS, Case, ours
from tests.models.small import small

FILES = ["rnn", "transformer", "gpt", "llama", "unet", "autoencoder", "vae", "siamese", "seq2seq"]


def network(file: str, name: str, **settings: Any) -> nn.Module:
    """A network of `models/{file}.net`, drawn from seed 0."""
    torch.manual_seed(0)
    return ours(Case(file, name, ""), **settings)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def state(model: nn.Module) -> dict[str, Tensor]:
    return cast("dict[str, Tensor]", model.state_dict())


def tokens(vocabulary: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(seed))


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_close(ours: Tensor, reference: Tensor) -> None:
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def stir(model: nn.Module) -> nn.Module:
    """Move every parameter, so that none is a constant that hides a mistake."""
    generator = torch.Generator().manual_seed(5)
    for p in model.parameters():
        p.add_(torch.randn(p.shape, generator=generator), alpha=0.05)
    return model


# --- recurrent classifiers --------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 8)
        self.rnn = cell(8, 12, num_layers=2, batch_first=True)
        self.fc = nn.Linear(12, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        _, state = self.rnn(self.embed(tokens))
        hidden = state[0] if isinstance(state, tuple) else state
        return cast("Tensor", self.fc(hidden[-1]))


@pytest.mark.parametrize(("name", "cell"), [("LSTMClassifier", nn.LSTM), ("GRUClassifier", nn.GRU)])
def test_recurrent(name: str, cell: type[nn.LSTM | nn.GRU]) -> None:
    model = network("rnn", name, vocabulary=100, width=8, hidden=12, depth=2, classes=3)
    torch.manual_seed(0)
    reference = Recurrent(cell)
    assert list(state(model)) == list(state(reference))
    assert all(torch.equal(value, state(reference)[key]) for key, value in state(model).items())
    assert torch.equal(model(tokens(100, 4, 9)), reference(tokens(100, 4, 9)))


# --- Transformer encoder ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
def test_encoder_is_that_of_torch(training: bool) -> None:
    model = stir(network("transformer", "Encoder", width=32, depth=3, heads=4, hidden=64, p=0.0)).train(training)
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    reference = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).train(training)
    reference.load_state_dict(model.state_dict())
    model.load_state_dict(reference.state_dict())
    x = noise(2, 7, 32)
    assert_close(model(x), reference(x))


def test_encoder_drops_out_in_training_only() -> None:
    model = network("transformer", "Encoder", width=16, depth=1, heads=2, hidden=32, p=0.5)
    x = noise(1, 5, 16)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


# --- GPT --------------------------------------------------------------------------------------------------------------

SMALL_GPT = "GPT(2, 4, 32, 16, 60)"


def gpt_reference(weights: dict[str, Tensor], tokens: Tensor, heads: int = 4) -> Tensor:
    """Attention written out: scores, a triangle of -inf, a softmax."""
    length = tokens.shape[1]
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][:length]

    def linear(path: str, x: Tensor) -> Tensor:
        return x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]

    def norm(path: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], weights[f"{path}.weight"], weights[f"{path}.bias"])

    def heads_of(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)

    for i in range(2):
        q, k, v = map(heads_of, linear(f"h.{i}.attn.c_attn", norm(f"h.{i}.ln_1", x)).chunk(3, -1))
        scores = q @ k.mT / q.shape[-1] ** 0.5 + torch.full((length, length), -torch.inf).triu(1)
        x = x + linear(f"h.{i}.attn.c_proj", (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))
        hidden = F.gelu(linear(f"h.{i}.mlp.c_fc", norm(f"h.{i}.ln_2", x)), approximate="tanh")
        x = x + linear(f"h.{i}.mlp.c_proj", hidden)
    return norm("ln_f", x) @ weights["wte.weight"].T


def test_gpt() -> None:
    torch.manual_seed(0)
    model = stir(small("gpt", SMALL_GPT)).eval()
    words = tokens(60, 2, 11)
    assert_close(model(words), gpt_reference(state(model), words))


def test_gpt_starts_small() -> None:
    """As GPT-2 does: 0.02, and less by the root of the number of residual additions on the way back to the path."""
    torch.manual_seed(0)
    weights = state(small("gpt", "GPT(8, 4, 64, 16, 500)"))
    assert float(weights["wte.weight"].std()) == pytest.approx(0.02, rel=0.03)
    assert float(weights["h.3.attn.c_attn.weight"].std()) == pytest.approx(0.02, rel=0.03)
    for path in ("h.3.attn.c_proj", "h.7.mlp.c_proj"):
        assert float(weights[f"{path}.weight"].std()) == pytest.approx(0.02 / 4, rel=0.05)
        assert not weights[f"{path}.bias"].any()


@pytest.mark.parametrize(
    ("name", "count"),
    [("GPT2", 124_439_808), ("GPT2Medium", 354_823_168), ("GPT2Large", 774_030_080), ("GPT2XL", 1_557_611_200)],
)
def test_gpt2_has_as_many_parameters_as_published(name: str, count: int) -> None:
    with torch.device("meta"):
        assert parameters(network("gpt", name)) == count


# --- LLaMA ------------------------------------------------------------------------------------------------------------

SMALL_LLAMA = "LLaMA(2, 4, 2, 32, 48, 16, 60)"


def llama_reference(weights: dict[str, Tensor], tokens: Tensor, heads: int = 4, groups: int = 2) -> Tensor:
    """Rotation as multiplication of complex numbers; every group's keys and values repeated for its heads."""
    x = weights["model.embed_tokens.weight"][tokens]
    (batch, length, width), size = x.shape, x.shape[-1] // heads

    def norm(path: str, x: Tensor) -> Tensor:
        return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * weights[f"{path}.weight"]

    def linear(path: str, x: Tensor) -> Tensor:
        return x @ weights[f"{path}.weight"].T

    def turned(x: Tensor) -> Tensor:
        angle = torch.outer(torch.arange(length), 10000.0 ** (-torch.arange(0, size, 2) / size))
        z = torch.complex(*x.chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([z.real, z.imag], -1)

    def heads_of(x: Tensor) -> Tensor:
        return x.reshape(batch, length, -1, size).transpose(1, 2)

    for i in range(2):
        path = f"model.layers.{i}"
        y = norm(f"{path}.input_layernorm", x)
        q, k, v = (heads_of(linear(f"{path}.self_attn.{name}_proj", y)) for name in "qkv")
        k, v = (t.repeat_interleave(heads // groups, 1) for t in (turned(k), v))
        scores = turned(q) @ k.mT / size**0.5 + torch.full((length, length), -torch.inf).triu(1)
        read = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)
        x = x + linear(f"{path}.self_attn.o_proj", read)
        y = norm(f"{path}.post_attention_layernorm", x)
        gate = linear(f"{path}.mlp.gate_proj", y)
        x = x + linear(f"{path}.mlp.down_proj", gate * gate.sigmoid() * linear(f"{path}.mlp.up_proj", y))
    return linear("lm_head", norm("model.norm", x))


def test_llama() -> None:
    torch.manual_seed(0)
    model = stir(small("llama", SMALL_LLAMA))
    words = tokens(60, 2, 11)
    assert_close(model(words), llama_reference(state(model), words))


@pytest.mark.parametrize(("file", "definition"), [("gpt", SMALL_GPT), ("llama", SMALL_LLAMA)])
def test_language_models_do_not_look_ahead(file: str, definition: str) -> None:
    model = stir(small(file, definition)).eval()
    words = tokens(60, 1, 12)
    changed = words.clone()
    changed[0, 8] = (words[0, 8] + 1) % 60
    before, after = model(words), model(changed)
    assert_close(before[:, :8], after[:, :8])
    assert bool((before[:, 8:] - after[:, 8:]).abs().amax(-1).gt(1e-4).all())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("LLaMA2_7B", 6_738_415_616),
        ("LLaMA2_13B", 13_015_864_320),
        ("LLaMA2_70B", 68_976_648_192),
        ("LLaMA3_8B", 8_030_261_248),
        ("LLaMA3_70B", 70_553_706_496),
        ("TinyLLaMA", 1_100_048_384),
    ],
)
def test_llama_has_as_many_parameters_as_published(name: str, count: int) -> None:
    with torch.device("meta"):
        assert parameters(network("llama", name)) == count


@pytest.mark.parametrize("file", ["gpt", "llama"])
def test_tables_of_positions_are_not_in_the_checkpoint(file: str) -> None:
    with torch.device("meta"):
        model = network(file, {"gpt": "GPT2", "llama": "TinyLLaMA"}[file])
    assert [key for key, _ in model.named_buffers()]
    assert set(state(model)) == {key for key, _ in model.named_parameters()}


# --- U-Net ------------------------------------------------------------------------------------------------------------


def unet_reference(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    def double(path: str, x: Tensor) -> Tensor:
        for i in (1, 2):
            x = F.conv2d(x, weights[f"{path}.conv{i}.weight"], padding=1)
            mean, var, scale, shift = (
                weights[f"{path}.bn{i}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
            )
            x = F.relu(F.batch_norm(x, mean, var, scale, shift))
        return x

    skips = []
    x = image
    for i in range(1, 5):
        x = double(f"down{i}", x)
        skips.append(x)
        x = F.max_pool2d(x, 2)
    x = double("bottom", x)
    for i in range(4, 0, -1):
        x = F.conv_transpose2d(x, weights[f"up{i}.up.weight"], weights[f"up{i}.up.bias"], stride=2)
        x = double(f"up{i}.conv", torch.cat([skips.pop(), x], 1))
    return F.conv2d(x, weights["head.weight"], weights["head.bias"])


@torch.no_grad()
def test_unet() -> None:
    model = stir(network("unet", "UNet", channels=2, classes=3, width=4, size=32)).eval()
    image = noise(2, 2, 32, 32)
    assert_close(model(image), unet_reference(state(model), image))


def test_unet_is_as_large_as_in_the_paper() -> None:
    """31.03 million for grey images and two classes; 31.04 with batch norms for the biases of its convolutions."""
    with torch.device("meta"):
        assert parameters(network("unet", "UNet", channels=1)) == 31_036_546


# --- autoencoders -----------------------------------------------------------------------------------------------------


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32 * 49, 8)),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(8, 32 * 49), nn.ReLU(), nn.Unflatten(1, (32, 7, 7))),
            *(nn.ConvTranspose2d(32, 16, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 3, 2, 1, 1), nn.Sigmoid()),
        )

    def forward(self, image: Tensor) -> Tensor:
        return cast("Tensor", self.decoder(self.encoder(image)))


def test_autoencoder() -> None:
    model = network("autoencoder", "Autoencoder", latent=8)
    torch.manual_seed(0)
    reference = Autoencoder()
    assert list(state(model)) == list(state(reference))
    image = noise(2, 1, 28, 28)
    assert torch.equal(model(image), reference(image))


def test_vae() -> None:
    model = network("vae", "VAE", latent=5, hidden=32)
    weights = state(model)
    image = noise(3, 1, 28, 28).sigmoid()

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    torch.manual_seed(7)
    result = model(image)
    hidden = F.relu(linear("encode", image.flatten(1)))
    mu, logvar = linear("mean_head", hidden), linear("var_head", hidden)
    torch.manual_seed(7)
    code = mu + torch.exp(0.5 * logvar) * torch.randn(3, 5)
    recon = linear("decode2", F.relu(linear("decode1", code))).sigmoid().reshape(image.shape)
    assert result._fields == ("recon", "mu", "logvar")
    for name, value in {"recon": recon, "mu": mu, "logvar": logvar}.items():
        assert torch.equal(getattr(result, name), value), name


# --- two inputs -------------------------------------------------------------------------------------------------------


def test_siamese() -> None:
    model = stir(network("siamese", "Siamese", width=6))
    weights = state(model)
    assert len(weights) == 8  # one embedding, for both images
    left, right = noise(3, 1, 28, 28), noise(3, 1, 28, 28, seed=2)

    def embed(x: Tensor) -> Tensor:
        for i in (1, 2):
            x = F.conv2d(x, weights[f"embed.conv{i}.weight"], weights[f"embed.conv{i}.bias"], padding=2)
            x = F.max_pool2d(F.relu(x), 2)
        return F.linear(x.flatten(1), weights["embed.fc.weight"], weights["embed.fc.bias"]).sigmoid()

    difference = (embed(left) - embed(right)).abs()
    expected = (difference @ weights["head.weight"].T + weights["head.bias"])[:, 0]
    assert_close(model(left, right), expected)
    assert torch.equal(model(left, right), model(right, left))


class Seq2Seq(nn.Module):
    """Decodes one step after the other, as one does without the whole target."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_source = nn.Embedding(50, 8)
        self.encoder = nn.LSTM(8, 12, num_layers=2, batch_first=True)
        self.embed_target = nn.Embedding(60, 8)
        self.decoder = nn.LSTM(8, 12, num_layers=2, batch_first=True)
        self.score = nn.Linear(12, 12, bias=False)
        self.combine = nn.Linear(24, 12, bias=False)
        self.head = nn.Linear(12, 60)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, state = self.encoder(self.embed_source(source))
        logits = []
        for word in target.unbind(1):
            query, state = self.decoder(self.embed_target(word[:, None]), state)
            scores = torch.stack([(query[:, 0] * self.score(place)).sum(-1) for place in memory.unbind(1)], 1)
            context = (scores.softmax(1)[..., None] * memory).sum(1)
            logits.append(self.head(torch.tanh(self.combine(torch.cat([context, query[:, 0]], -1)))))
        return torch.stack(logits, 1)


def test_seq2seq() -> None:
    model = network("seq2seq", "Seq2Seq", source_words=50, target_words=60, width=8, hidden=12, p=0.0)
    torch.manual_seed(0)
    reference = Seq2Seq()
    assert list(state(model)) == list(state(reference))
    assert all(torch.equal(value, state(reference)[key]) for key, value in state(model).items())
    reference.load_state_dict(stir(model).state_dict())
    source, target = tokens(50, 3, 7), tokens(60, 3, 5)
    assert_close(model(source, target), reference(source, target))


def test_seq2seq_does_not_look_ahead() -> None:
    model = stir(network("seq2seq", "Seq2Seq", source_words=50, target_words=60, width=8, hidden=12)).eval()
    source, target = tokens(50, 1, 7), tokens(60, 1, 6)
    changed = target.clone()
    changed[0, 3] = (target[0, 3] + 1) % 60
    before, after = model(source, target), model(source, changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3], after[:, 3])


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_a_file_names_its_paper(file: str) -> None:
    head = (MODELS / f"{file}.net").read_text(encoding="utf-8").split("\nmodule")[0].split("\nnetwork")[0]
    assert all(line.startswith("#") or not line for line in head.splitlines())
    assert any(year in head for year in map(str, range(1986, 2027)))
