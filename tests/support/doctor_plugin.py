"""A plugin that reads answers, for routes that need every part of an exchange."""

from pipeline.api import Plugin


class Shout(Plugin):
    """Reads calls and answers and changes nothing."""

    timeout_s = 0.5
    on_error = "closed"

    def on_request(self, exchange):
        return None

    def on_response(self, exchange):
        return None
