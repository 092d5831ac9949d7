"""ESMM: the rate of sales as the product of the rate of clicks and the rate of sales after a click.

Ma et al. 2018, "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate". Graph inputs: the groups
`user` and `item`. Outputs: `ctr` and `ctcvr`.
"""

from __future__ import annotations

import numpy as np
import onnx

from tvm_rank.zoo import shop
from tvm_rank.zoo.onnx_layers import LayerWriter


def features(size: shop.Sizes) -> list[shop.Feature]:
    """Embeddings of both sides."""
    return [*shop.user_features(size), *shop.item_features(size)]


def graph(size: shop.Sizes, rng: np.random.Generator) -> onnx.ModelProto:
    """Two towers over shared embeddings."""
    side = shop.side_width(size)
    writer = LayerWriter("esmm", {"user": (side,), "item": (side,)}, rng)
    x = writer.beside("user", "item")
    click, sale = (writer.node("Sigmoid", writer.tower(x, name, (2 * side, *size.hidden))) for name in ("ctr", "cvr"))
    return writer.with_outputs({"ctr": click, "ctcvr": writer.node("Mul", click, sale)})
