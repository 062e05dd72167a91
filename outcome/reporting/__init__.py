"""The results page and its figures, made from the files of a run folder alone."""
