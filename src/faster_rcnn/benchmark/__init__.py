"""How long each stage of a detector takes, against a lower bound and against other runtimes."""
