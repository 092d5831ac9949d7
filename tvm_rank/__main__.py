"""`python -m tvm_rank` is `tvm-rank`."""

from tvm_rank.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
