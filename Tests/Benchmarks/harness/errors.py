"""What goes wrong in a benchmark, as opposed to a bar that is missed."""


class BenchError(Exception):
    """A step failed or gave a wrong result, so that its part has no figures. The message names the step and the reason."""
