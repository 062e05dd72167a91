"""First drafts of a study file: from a table, or from the files of another tool."""
