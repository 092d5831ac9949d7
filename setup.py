"""Packaging of tvm-rank: three packages and one command."""

import pathlib

from setuptools import find_packages, setup

CORE = [
    "apache-tvm==0.27.0.post1",
    # pip would take a newer apache-tvm-ffi, with which TVM 0.27 crashes as soon as a MetaSchedule task is made
    "apache-tvm-ffi==0.1.14.post1",
    "numpy>=1.26",
    "onnx>=1.17",
    "pyarrow>=17",
    "rich>=13",
    "safetensors>=0.4.3",
]
MEASURE = ["cloudpickle>=3", "psutil>=5.9", "tornado>=6.3"]  # what MetaSchedule's builders, runners and servers import
TUNE = [*MEASURE, "xgboost>=2"]  # the search does without xgboost, which is large, but finds less
RAY = ["ray[data]>=2.30"]  # transform --engine ray
BENCH = ["onnxruntime>=1.19", "polars>=1.20"]
TEXT = [
    "OpenCC>=1.1.9",
    "sentencepiece>=0.2",
    "tokenizers>=0.20",
]  # tokenize_feature, and traditional characters of text_normalizer
LINK = ["ziglang>=0.13"]  # a linker, for machines without a C++ compiler and for other machines' code
# a second opinion on the hash; it has wheels for these only, elsewhere the recorded values in the tests must do
HAS_FARMHASH = 'sys_platform == "linux" and platform_machine == "x86_64" and python_version >= "3.11" and python_version < "3.14"'
FARMHASH = f"pyfarmhash>=0.4; {HAS_FARMHASH}"
# what trains trees and writes them as ONNX, for the tests of imported models
TREES = ["lightgbm>=4.3,<5", "onnxmltools>=1.13,<2", "scikit-learn>=1.4,<2", "skl2onnx>=1.17,<2", "xgboost>=2,<4"]
# the formatter and the type checker are pinned: another version judges the same file differently
DEV = [
    *BENCH,
    *TEXT,
    *MEASURE,
    *TREES,
    FARMHASH,
    "hypothesis>=6.100",
    "mypy~=2.4",
    "pre-commit>=3.5",
    "pytest>=8",
    "pytest-xdist>=3.5",
    "ruff~=0.17.6",
]

setup(
    name="tvm-rank",
    version="0.1.0",
    description="A compiler for ranking models: features, embedding lookup and dense layers in one compiled artifact",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["tvm_rank*", "relay_passes*", "te_schedules*"]),
    package_data={"tvm_rank": ["py.typed"], "te_schedules": ["gpu/*.cuh"]},
    install_requires=CORE,
    extras_require={"tune": TUNE, "bench": BENCH, "link": LINK, "text": TEXT, "ray": RAY, "dev": DEV},
    entry_points={"console_scripts": ["tvm-rank = tvm_rank.cli.main:main"]},
)
