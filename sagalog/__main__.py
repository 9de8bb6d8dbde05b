"""`python -m sagalog` is the command `sagalog`."""

from sagalog.cli import main

if __name__ == "__main__":
    main()
