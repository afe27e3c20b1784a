"""The exit codes of the `millrace` command; `millrace --help` tells what each means."""

OK, FAILED, USAGE, SOURCE_FAILED, BUILD_FAILED, HELD, MISDECLARED = range(7)
INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT


class CallError(Exception):
    """A command was given words that name nothing here; the message says which would."""


class RebuildError(Exception):
    """A rebuild found nothing to build from, or no room; nothing was changed."""
