"""The command ``faster-rcnn``: one file for each command, which holds its options, its docstring and its body.

What computes is imported when a command runs, because torch takes seconds and ``--help`` should not.
"""
