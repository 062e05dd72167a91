"""Tables as users have them: reading, missing values, identifiers, numbers, dates and codes."""
