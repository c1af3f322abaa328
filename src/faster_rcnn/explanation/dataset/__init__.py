"""Explanation of a data set: every truth and every false positive of a split, counted, with what each kind costs."""
