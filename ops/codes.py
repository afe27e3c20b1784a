"""The exit codes of the `millrace` command; `millrace --help` tells what each means."""

OK, FAILED, USAGE, SOURCE_FAILED, BUILD_FAILED, HELD, MISDECLARED = range(7)
