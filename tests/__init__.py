"""What proves the project: dbt's tests, pytest in `python`, the benchmarks in `bench`."""
