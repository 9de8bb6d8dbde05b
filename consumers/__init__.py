"""The read and act side: workers, views, reactors, and the service that hosts them."""

from _sagalog_ours import check_below

check_below(__name__)

from consumers.breaker import Breaker
from consumers.client import Client
from consumers.delivery import Context
from consumers.errors import ConsumerError, Permanent, RetryAfter
from consumers.process import NotStarted
from consumers.queryable import Queryable
from consumers.rate import Rate
from consumers.reactor import Reactor
from consumers.retry import Retry
from consumers.rows import Rows
from consumers.service import Service
from consumers.table import Table, table
from consumers.view import View, on
from consumers.worker import Worker

__all__ = [
    "Breaker",
    "Client",
    "ConsumerError",
    "Context",
    "NotStarted",
    "Permanent",
    "Queryable",
    "Rate",
    "Reactor",
    "Retry",
    "RetryAfter",
    "Rows",
    "Service",
    "Table",
    "View",
    "Worker",
    "on",
    "table",
]
