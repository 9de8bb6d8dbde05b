"""How fast it is, beside loops written by hand on confluent-kafka and rocksdict, in the same run.

`python -m benchmarks` prints one table; `docs/performance.md` says what is measured and where the time goes.
"""
