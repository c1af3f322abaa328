"""Turn a built detector into a faster one that finds the same: folding, fusion, quantization, compilation."""
