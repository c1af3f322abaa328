"""Fast operators with the signatures and results of plain ones; each decides by itself where it is the faster way."""
