"""Patch embeddings: how wide each stage is, and how many tokens come out."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("norse", reason="training needs norse")

from scmrl.hw_profiles.precision import Precision
from scmrl.network.embedding import PatchEmbedding


@pytest.mark.parametrize(
    "form, widths, tokens",
    [
        ("strided", [8, 16, 32, 64], "stage4"),
        ("deep", [8, 16, 32, 64], "pool4"),
        ("shallow", [32, 64], "pool2"),
    ],
)
def test_every_stage_halves_the_image_and_doubles_the_width(form, widths, tokens):
    embedding = PatchEmbedding(2, 64, form, dv=1024, precision=Precision())
    found = embedding(torch.zeros(1, 3, 2, 32, 48), 2)
    stages = [spikes.shape[2] for name, spikes in found.items() if name.startswith("stage")]
    halved = 1 << len(widths)
    assert stages == widths and embedding.tokens == tokens
    assert found[tokens].shape == (2, 3, 64, 32 // halved, 48 // halved)
    assert found["position"].shape == found[tokens].shape
