"""Fast operators with the signatures of the plain ones; a test shows for each that both agree."""
