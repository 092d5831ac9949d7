"""What the command of a bundle does (`run.py`). Needs NumPy, and what the bundle brings."""
