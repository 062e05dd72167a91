"""The chapters of the results page, one module each; every one is made from the run alone."""
