"""Reading of texts that others wrote: files, JSON, YAML and single values, with bounds and one-line errors."""
