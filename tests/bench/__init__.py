"""The benchmarks. `python -m tests.bench --help` says what there is; `make bench` runs them."""
