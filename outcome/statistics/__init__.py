"""Statistics in numpy and scipy: one concept a module, arrays in, numbers out."""
