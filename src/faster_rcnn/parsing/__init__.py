"""Texts from outside: files, JSON, YAML and single values, each read with bounds and one-line errors."""
