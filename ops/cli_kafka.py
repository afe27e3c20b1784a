"""`millrace sample kafka`: a real broker on this machine, for the sample's events."""

import typer

from ops import settings as settings_module
from ops.log import Log
from ops.packages import default_cache
from ops.settings import Settings
from sample.broker import Broker

app = typer.Typer(
    help="A real Apache Kafka on this machine, with no container; it needs Java 17 and Maven.",
    no_args_is_help=True,
)


@app.command()
def up() -> None:
    """Bring the broker up, with the topics it had, and say where it is.

    The first time Maven fetches Kafka's jars (44 MB) into your cache.

    \b
    Example:
      millrace sample kafka up
    """
    settings, log = settings_module.load(None), Log()
    with log.working("Kafka comes up"):
        address = broker(settings).start()
    log.say("kafka", f"Kafka is up at {address}; for the commands that come:")
    log.say("kafka", f"export MILLRACE_SCANNER_BROKERS={address}")


@app.command()
def down() -> None:
    """Bring the broker down in good order; its topics stay."""
    settings, log = settings_module.load(None), Log()
    with log.working("Kafka goes down"):
        broker(settings).stop()
    log.say("kafka", "Kafka is down")


@app.command()
def status() -> None:
    """Say whether the broker is up, where it is, and what its topics hold."""
    settings, log = settings_module.load(None), Log()
    found = broker(settings).status()
    if found is None:
        log.say("kafka", "Kafka is down; bring it up with: millrace sample kafka up")
        return
    log.say("kafka", f"Kafka is up at {found.address}, process {found.pid}")
    for name, topic in found.topics.items():
        messages = f"at most {topic.messages} messages"
        log.say("kafka", f"  {name}: {topic.partitions} partitions, {messages}")


def broker(settings: Settings) -> Broker:
    """The sample's broker of these settings; its folder is below the sample's."""
    cache = settings.cache or default_cache()
    return Broker(settings.sample_home / "kafka", cache, settings.env)
