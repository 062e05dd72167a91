"""From tables of predictions to tables of metrics, comparisons and risk groups."""
