"""User-defined functions: small pure Python functions that become operators of `custom_feature`, compiled to TIR.

`function.py` is what an author touches; `parse.py` and its neighbours turn the source into a typed program (nested tuples, described in
`te_schedules/udf/__init__.py`), `builtin.py` has those that ship.
"""
