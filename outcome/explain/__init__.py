"""Explanation of a trained model: contributions of patches and inputs, maps, GeoJSON."""
