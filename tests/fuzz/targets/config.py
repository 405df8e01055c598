"""Config: text is a config or a ConfigError whose every problem names file, line and key."""

from __future__ import annotations

from pipeline.config.load import check_config
from pipeline.config.source import parse_source
from pipeline.errors import ConfigError

TOKENS = tuple(
    b"plugins: backends: routes: server: envoy: limits: telemetry: tenant: name: match: path:"
    b" path_prefix: headers: model: provider: url: api_key: uses: with: when: mode: timeout:"
    b" on_error: ${A} ${A:-b} ${B} ${B:- file:/ <<: *a &a !!binary !!set !!python/object:"
    b" 1_000 0x1f 1:30 2001-01-01 .inf .nan ~ ? | > - [ ] { } 5m 8MiB 127.0.0.1:1 unix:/a"
    b" address: workers: auto http:// [::1]:1 shadow 10%".split()
)
_PROSE = (
    "server address admin admin_token drain workers auto tls cert key client_ca envoy listen"
    " body_limit slack concurrency host_tls ca name tenant header credential limits request_body"
    " response_body event threads exchanges process_bytes telemetry log_level log_format"
    " otlp_endpoint keep keep_texts record share folder max_bytes bodies plugins plugins_dir uses"
    " with timeout on_error open closed mode shadow enforce when backends provider openai url"
    " api_key models routes match path path_prefix host headers model dialect openai.chat other"
    " pass refuse check 5s 250ms 8MiB 1% 10% unix:/a 127.0.0.1:9 [::1]:0 http://a/v1 /v1 ${A}"
    " ${B} ${B:-c} ${ ${A:-} x-a *"
)
WORDS = tuple(_PROSE.split())  # JSON is YAML
_ENVIRONMENT = {"A": "canary-value", "EMPTY": ""}
_FILE = "dragoman.yaml"


def check(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    if "file:" in text:
        return  # reads files of the machine that it runs on
    try:
        source = parse_source(text, _ENVIRONMENT, file=_FILE)
        check_config(source)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert problem.file == _FILE
            assert problem.line is None or problem.line >= 1
            assert "canary-value" not in problem.message or "canary-value" in text
            str(problem).encode()
