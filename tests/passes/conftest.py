"""What the tests of the passes share: every pass is checked to take and to give well-formed modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tvm
from tvm.relax.ir.instrument import WellFormedInstrument


@pytest.fixture(autouse=True)
def well_formed_passes() -> Iterator[None]:
    """Check the module before and after each pass that a test runs."""
    with tvm.transform.PassContext(instruments=[WellFormedInstrument()]):
        yield
