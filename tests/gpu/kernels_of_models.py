"""The kernels of several models as one source, so that those that models have in common are compiled once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from te_schedules.gpu import prelude

_HEAD = r'^(?:extern "C" __global__ void(?: __launch_bounds__\(\d+\))?|static __device__ __noinline__ void) '
_DECLARED = re.compile(_HEAD + r"\w+\([^\n]*\);\n", re.MULTILINE)
_DEFINED = re.compile(_HEAD + r"(\w+)\([^\n]*\) \{$.*?^\}$", re.MULTILINE | re.DOTALL)


def kernels_of(source: str) -> list[str]:
    """The names of the kernels of a module's source."""
    return [found.group(1) for found in _DEFINED.finditer(prelude.tidied(source)) if not _is_procedure(found.group(0))]


def together(sources: Iterable[str]) -> tuple[str, set[str]]:
    """(a source with the kernels of all modules, their names there: those of an equal text have one). What comes before the kernels of a
    module is guarded, so that it may stand there for each module."""
    before: dict[str, None] = {}
    functions: dict[str, str] = {}
    for source in map(prelude.tidied, sources):
        first = _DECLARED.search(source)
        assert first is not None, "TVM declares what it defines"
        before[source[: first.start()]] = None
        texts = {found.group(1): found.group(0) for found in _DEFINED.finditer(source)}
        procedures = {name: f"{name}_{_digest(text)}" for name, text in texts.items() if _is_procedure(text)}
        for name, text in texts.items():
            text = re.sub(r"\b(\w+)(?=\()", lambda word, known=procedures: known.get(word.group(1), word.group(1)), text)
            made = procedures.get(name) or f"kernel_{_digest(text.replace(name, '', 1))}"
            functions[made] = text.replace(f" {name}(", f" {made}(", 1)
    called = [text for text in functions.values() if _is_procedure(text)]
    kernels = {name: text for name, text in functions.items() if not _is_procedure(text)}
    declared = [text.partition(" {\n")[0] + ";" for text in called]
    return "\n".join([*before, *declared, *called, *kernels.values()]), set(kernels)


def _is_procedure(text: str) -> bool:
    return text.startswith("static")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
