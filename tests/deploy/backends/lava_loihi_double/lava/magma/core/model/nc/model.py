class AbstractNcProcessModel:
    """Marks a model that runs on neuro cores."""
