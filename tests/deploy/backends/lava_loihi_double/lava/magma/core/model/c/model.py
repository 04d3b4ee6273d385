class CLoihiProcessModel:
    """Marks a model that runs on the chip's embedded processors."""
