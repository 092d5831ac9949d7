"""Find every node that cannot be imported, before the import, so that one message tells them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import onnx

STANDARD_DOMAINS = ("", "ai.onnx")
ML_DOMAIN = "ai.onnx.ml"
ML_OPERATORS = frozenset(
    {"ArrayFeatureExtractor", "Binarizer", "FeatureVectorizer", "Imputer", "LabelEncoder", "LinearClassifier", "LinearRegressor"}
    | {"Normalizer", "OneHotEncoder", "Scaler", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "ZipMap"}
)  # what onnx_classical.py converts
MICROSOFT_OPERATORS = frozenset({"BiasGelu", "FastGelu", "Gelu"})  # com.microsoft operators that were compared with ONNX Runtime

# In TVM's table, but the size or the type of the result is known at run time only, which no later pass can work with.
DYNAMIC_OPERATORS = frozenset({"Compress", "NonMaxSuppression", "AllClassNMS", "NonZero", "Unique", "MaxRoiPool", "RoiAlign"})
SEQUENCE_OPERATORS = frozenset(
    {"ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength"}
    | {"SplitToSequence", "Optional", "OptionalGetElement", "OptionalHasElement"}
)
# In TVM's table with the meaning of com.microsoft: the standard domain has no such operator, or another one.
FOREIGN_OPERATORS = frozenset(
    {"Attention", "BiasGelu", "FastGelu", "SkipLayerNormalization", "EmbedLayerNormalization", "MatMulInteger16"}
)

MAX_NAMES = 3  # nodes named per operator; the count says how many there are


def unsupported_operators(model: onnx.ModelProto, converters: frozenset[str]) -> list[str]:
    """One line per operator without a converter: its type, domain, count, first nodes and what to do instead.

    `converters` names the operators of the standard domain that the importer has. Nodes in the bodies of If, Loop and Scan
    count too. Local functions are expected to be inlined before.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for node in walk(model.graph):
        if not _is_supported(node, converters):
            found[node.domain, node.op_type].append(node_name(node))
    return [_line(domain, op_type, names) for (domain, op_type), names in sorted(found.items())]


def walk(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes of the graph, and of the graphs inside their attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in subgraphs(attribute):
                yield from walk(body)


def subgraphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """The graphs that the attribute holds: one, several or none."""
    return ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs)


def node_name(node: onnx.NodeProto) -> str:
    """The name in the file, else what the node makes."""
    return f"'{node.name}'" if node.name else f"the node of '{next(iter(node.output), '')}'"


def _is_supported(node: onnx.NodeProto, converters: frozenset[str]) -> bool:
    if node.domain == "com.microsoft":
        return node.op_type in MICROSOFT_OPERATORS
    if node.domain == ML_DOMAIN:
        return node.op_type in ML_OPERATORS
    refused = DYNAMIC_OPERATORS | SEQUENCE_OPERATORS | FOREIGN_OPERATORS
    return node.domain in STANDARD_DOMAINS and node.op_type in converters and node.op_type not in refused


def _line(domain: str, op_type: str, names: list[str]) -> str:
    operator = op_type if domain in STANDARD_DOMAINS else f"{domain}.{op_type}"
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    times = f"{len(names)} node{'s' if len(names) > 1 else ''}"
    return f"operator {operator} is not supported ({times}: {', '.join(names[:MAX_NAMES])}{more}); {_advice(domain, op_type)}"


def _advice(domain: str, op_type: str) -> str:
    if domain == ML_DOMAIN:
        return "of the classical models, trees, linear models, scalers and encoders of numbers are compiled"
    if domain == "com.microsoft":
        return "export again without ONNX Runtime's graph optimizations, which put this operator in"
    if domain not in STANDARD_DOMAINS:
        return "a custom operator: express it with standard operators, or as a local function of the model"
    if op_type == "If":
        return "a branch that depends on the data is not compiled: use Where, or export with the condition fixed"
    if op_type.startswith("String") or op_type in ("RegexFullMatch", "LabelEncoder", "TfIdfVectorizer"):
        return "text is handled by the features, not by the model: move it into the feature configuration"
    if op_type.startswith(("QLinear", "ConvInteger")):
        return "export the model in float32: the precision is chosen when compiling"
    if op_type in SEQUENCE_OPERATORS:
        return "sequences and optional values are not compiled: use Split, Concat or Slice"
    if op_type in DYNAMIC_OPERATORS:
        return "the size of its result depends on the data: use Where and a reduction"
    return "write the layer with other operators, or with a later opset where it is one"
