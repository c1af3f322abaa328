"""Loggers: callbacks that send a run to TensorBoard, MLflow or Weights & Biases (``train --log``)."""
