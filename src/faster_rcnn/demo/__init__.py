"""The demo: training, evaluation and prediction on built-in pictures of handwritten digits."""
