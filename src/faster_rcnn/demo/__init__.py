"""The whole way on built-in pictures."""
