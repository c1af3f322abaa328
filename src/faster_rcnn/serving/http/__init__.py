"""The HTTP server of one detector: its options, its queue, its routes and its page."""
