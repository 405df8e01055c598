"""The simulated Bedrock held against AWS's own client, which signs, sends and reads."""

from __future__ import annotations

import json
from contextlib import closing

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.support.providers import bedrock
from tests.support.providers.serving import served

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HI = [{"role": "user", "content": [{"text": "hi"}]}]
TOOLS = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]}


@pytest.fixture(scope="module")
def url():
    application, _ = bedrock.app()
    with served(application) as url:
        yield url


@pytest.fixture
def client(url):
    keys = bedrock.KEYS
    made = []

    def make(**given):
        options = {
            "region_name": bedrock.REGION,
            "aws_access_key_id": keys.access_key,
            "aws_secret_access_key": keys.secret_key,
            "aws_session_token": keys.token,
            **given,
        }
        once = Config(retries={"total_max_attempts": 1})
        made.append(boto3.client("bedrock-runtime", endpoint_url=url, config=once, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asking(text):
    return [{"role": "user", "content": [{"text": text}]}]


def test_boto3_gets_an_answer(client):
    answer = client().converse(modelId=CLAUDE, messages=HI)

    assert answer["output"]["message"]["content"] == [{"text": "You said: hi"}]
    assert answer["usage"]["inputTokens"] == 10


def test_boto3_reads_thoughts_tools_and_citations(client):
    converse = client().converse
    thought = converse(modelId=CLAUDE, messages=asking("think redacted"))["output"]["message"]
    called = converse(modelId=CLAUDE, messages=asking("tool"), toolConfig=TOOLS)
    cited = converse(modelId=CLAUDE, messages=asking("cite"))["output"]["message"]

    assert [set(block) for block in thought["content"][:2]] == [{"reasoningContent"}] * 2
    assert thought["content"][1]["reasoningContent"]["redactedContent"] == b"hidden thoughts"
    assert called["stopReason"] == "tool_use"
    assert cited["content"][1]["citationsContent"]["citations"][1]["location"]["web"]["url"]


def test_boto3_reads_a_stream(client):
    made = client().converse_stream(modelId=CLAUDE, messages=asking("think tool"), toolConfig=TOOLS)
    with closing(made["stream"]) as stream:
        events = list(stream)

    names = [next(iter(one)) for one in events]
    assert (names[0], names[-2:]) == ("messageStart", ["messageStop", "metadata"])
    pieces = [one["contentBlockDelta"]["delta"] for one in events if "contentBlockDelta" in one]
    told = "".join(one["toolUse"]["input"] for one in pieces if "toolUse" in one)
    assert json.loads(told) == {"city": "Bern"}


def test_boto3_raises_the_exception_of_a_stream(client):
    made = client().converse_stream(
        modelId=CLAUDE, messages=asking("exception throttlingException")
    )

    with closing(made["stream"]) as stream, pytest.raises(EventStreamError, match="throttling"):
        list(stream)


@pytest.mark.parametrize(
    ("status", "code"), [(429, "ThrottlingException"), (503, "ServiceUnavailableException")]
)
def test_boto3_reads_errors(client, status, code):
    with pytest.raises(ClientError) as raised:
        client().converse(modelId=CLAUDE, messages=asking(f"error {status}"))

    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_boto3_counts_and_invokes(client):
    runtime = client()
    counted = runtime.count_tokens(
        modelId=CLAUDE.removeprefix("us."), input={"converse": {"messages": HI}}
    )
    made = runtime.invoke_model(
        modelId="amazon.titan-embed-text-v2:0", body=json.dumps({"inputText": "hi"})
    )

    assert counted["inputTokens"] == 42
    assert json.loads(made["body"].read())["inputTextTokenCount"] == 1


@pytest.mark.parametrize(
    "given",
    [
        {"aws_secret_access_key": "another"},
        {"aws_access_key_id": "AKIDOTHER"},
        {"aws_session_token": None},
        {"region_name": "us-east-1"},
    ],
)
def test_a_wrong_signature_is_refused(client, given):
    with pytest.raises(ClientError) as raised:
        client(**given).converse(modelId=CLAUDE, messages=HI)

    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    "given",
    [
        {"messages": [{"role": "assistant", "content": [{"text": "hi"}]}]},
        {"messages": HI * 2},
        {"messages": asking(" ")},
        {"messages": HI, "toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "other"}}}},
    ],
)
def test_what_the_service_would_refuse_is_refused(client, given):
    with pytest.raises(ClientError, match="ValidationException"):
        client().converse(modelId=CLAUDE, **given)
