"""The item store: how it is written, at compile time and by `tvm-rank refresh`. Reading it is `tvm_rank/runtime/item_store.py`."""
