"""Numbers of bands on a command line."""

from skyweave.core.errors import ConfigError


def parse_band_numbers(text: str | None) -> list[int] | None:
    """Return numbers separated by commas; None for None.

    Args:
        text: such as ``4,3,2``.

    Raises:
        ConfigError: no numbers.
    """
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ConfigError(f"--scene-bands {text}: give one or three numbers, such as 4,3,2") from None
