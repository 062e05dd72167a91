"""What a trained model looked at: contributions of patches and of whole inputs, maps, GeoJSON."""
