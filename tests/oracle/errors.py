"""The two ways in which the oracle says no."""


class Unsupported(Exception):
    """The pipeline asks for something that this oracle does not compute."""


class Wrong(Unsupported):
    """The pipeline makes no sense."""
