"""What the user brought to `compile`, read, checked and bound together, and the graph of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import FeatureConfig
from tvm_rank.frontend.binding import Binding, bind_inputs, bind_lookups, table_needs
from tvm_rank.frontend.dense_model import DenseModel
from tvm_rank.frontend.graph import RankGraph, build_graph
from tvm_rank.frontend.links import BuiltLinks, build_links
from tvm_rank.frontend.onnx_model import import_model
from tvm_rank.frontend.tables import Stack, TableNeed, open_needed, plan_stacks, table_precisions
from tvm_rank.frontend.unused_inputs import without_unused_inputs
from tvm_rank.host.before import chain_of
from tvm_rank.host.plan import HostPlan, plan_host
from tvm_rank.ops.table_rows import FP32
from tvm_rank.precision import AUTO


@dataclass(frozen=True, kw_only=True, eq=False)
class Brought:
    """What the user brought, read, checked and bound together."""

    given: FeatureConfig
    config: FeatureConfig  # of what kernels compute
    host: HostPlan
    links: BuiltLinks
    dense: DenseModel
    bindings: tuple[Binding, ...]
    of_file: tuple[Binding, ...]  # of the inputs that the file has, for those who run it as it is
    tables: Mapping[str, np.ndarray]
    needs: Mapping[str, TableNeed]
    table_precisions: Mapping[str, str]

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """The tables side by side; fp32 for those whose precision is to be chosen."""
        chosen = {name: FP32 if precision == AUTO else precision for name, precision in self.table_precisions.items()}
        return plan_stacks(self.needs, self.tables, chosen)


def read(
    features: Any, model: Any, tables: Any, reading: Mapping[str, Any], table_precision: str | Mapping[str, str] = FP32
) -> Brought:
    """Read the files; raise ConfigError or ModelError with all problems of a file, of the binding, or of the tables. `reading`: the
    keyword arguments of `load_config`."""
    given = load_config(features, **reading)
    links, last = chain_of(given)
    host = plan_host(last)
    config = host.config
    dense = import_model(model)
    of_file = bind_inputs(dense.given, config, dense.source)
    dense = without_unused_inputs(dense)
    bindings = bind_lookups(dense.inputs, of_file)
    inputs = {entry.lookup.ids if entry.lookup else entry.name for entry in dense.inputs}
    needs = table_needs(bindings, config.source)
    opened = open_needed(tables, needs, dense.tables, config.source)
    return Brought(
        given=given,
        config=config,
        host=host,
        links=build_links(links),
        dense=dense,
        bindings=bindings,
        of_file=tuple(binding for binding in of_file if (binding.input.bag or binding.input.name) in inputs),
        tables=opened,
        needs=needs,
        table_precisions=table_precisions(table_precision, needs),
    )


def graph_of(brought: Brought) -> tuple[RankGraph, Brought]:
    """The graph, and what it needs of what the user brought: library calls whose columns no feature of it reads are left out."""
    graph = build_graph(brought.config, brought.bindings, brought.stacks, brought.dense)
    uses = (use.name for use in (*graph.request_uses, *graph.item_uses))
    return graph, dataclasses.replace(brought, host=brought.host.limited(uses))
