"""Logs finished runs to experiment trackers: MLflow, Weights & Biases, TensorBoard."""
