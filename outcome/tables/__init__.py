"""Tables of users: reading, missing values, identifiers, numbers, dates and codes."""
