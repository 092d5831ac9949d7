"""Random columns and random configurations, for `scripts/fuzz_types.py`."""
