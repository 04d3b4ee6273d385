"""Patch embeddings: how wide each stage is, and how many tokens come out."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("norse", reason="training needs norse")

from scmrl.network.embedding import embed
from scmrl.network.network import Network
from scmrl.network.nodes.node import Input
from scmrl.network.settings import ModelConfig


@pytest.mark.parametrize(
    "form, widths, tokens",
    [
        ("strided", [8, 16, 32, 64], "stage4"),
        ("deep", [8, 16, 32, 64], "pool4"),
        ("shallow", [32, 64], "pool2"),
    ],
)
def test_every_stage_halves_the_image_and_doubles_the_width(form, widths, tokens):
    net = Network(2)
    x = net.add("m", Input((2, 32, 48)))
    signal = embed(net, "m", x, ModelConfig(width=64, embedding=form, dv=1024))
    stages = [net.node(name).shape[0] for name in net.reads if name.startswith("m.stage")]
    halved = 1 << len(widths)
    assert stages == widths
    assert [s.node for s in signal.sources] == [f"m.{tokens}", "m.position"]
    shapes = {net.node(s.node).shape for s in signal.sources}
    assert shapes == {(64, 32 // halved, 48 // halved)}
