"""One file per command: each composes the floors below into one function ``run``."""
