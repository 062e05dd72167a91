"""Elements of a page: blocks, text, numbers, figures, and the template."""
