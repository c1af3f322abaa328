"""Times of the stages of a detector, compared with a lower bound and with other runtimes."""
