"""A process of the airline that writes the stacks of its threads to its log at SIGUSR1: what the nemesis runs."""

from __future__ import annotations

import faulthandler
import signal

from examples.airline.process import main

if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    main()
