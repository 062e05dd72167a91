"""Statistics that no kept library has, or has otherwise than R: arrays in, numbers out.

Every function names its source, and is tested against values of R's packages.
"""
