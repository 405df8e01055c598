"""A plugin that changes a little of everything."""

from pipeline.api import HeaderEdits, Plugin, Rewrite


class Odd(Plugin):
    """Sets a header and a parameter, shortens answers, holds events back."""

    def on_request(self, exchange):
        call = exchange.call.replace(set_params={"temperature": 0.5})
        return Rewrite(call=call, headers=HeaderEdits(set={"x-odd": "canary-header"}))

    def on_response(self, exchange):
        answer = exchange.response.answer
        segments = [type(s)(s.role, "odd", s.kind, s.at) for s in answer.segments]
        return Rewrite(answer=answer.replace(segments=segments))

    def on_response_event(self, event):
        return Rewrite(events=()) if event.text else None
