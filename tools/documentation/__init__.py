"""The documentation site: reference pages that are generated from the code, and the staging of all pages."""
