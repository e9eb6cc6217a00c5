"""The version of this service, as `/healthz`, `serverInfo` and the package metadata give it."""

VERSION = "1.4.0"
