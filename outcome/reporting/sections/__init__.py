"""The chapters of the results page, one module each; each is made only from the run."""
