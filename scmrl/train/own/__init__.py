"""A network of the user's own, data of the user's own, or both."""
