"""Other event stores beside ours: the same appends and loads, in the same run, each in a process of its own.

What they have in common with ours is what is measured: appends of one small event, of a class, with the version that
the stream is expected to have, each writer to a stream of its own; and loads of what a stream's events add up to. They
differ in what they promise: some have synced a disk when an append returns, some are servers that share the cores with
their client, some are libraries of the same process. Each figure says what was synced.
"""
