"""One broker inside the process, shared by `memory://` and `embedded://`.

`broker` orders everything under one lock, `groups` and `assignor` share partitions among members, `producer` and
`consumer` are what the log port hands out, `store` is the seam to where records are kept: `lists` (memory) or `rocks`
(a folder).

Units are buffered by their transactor and applied at once when they are committed, so there is never an open one in the
log: both isolation levels see the same, and no group position is ever pending.
"""
