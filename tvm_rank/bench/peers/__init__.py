"""What runs in the processes of a benchmark: the engine and the baselines, behind one small protocol (`serve.py`).

A baseline may live in a virtual environment of its own, without TVM. So the modules here, but for `own.py`, import the standard library,
NumPy, pyarrow, onnx and their own framework alone.
"""
