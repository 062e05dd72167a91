"""Statistics that are missing in maintained libraries, or differ from R: arrays in, numbers out.

Every function names its source, and is tested against values of R's packages.
"""
