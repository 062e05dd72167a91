"""What a page is made of: blocks, text, numbers, figures, and the template that joins them."""
