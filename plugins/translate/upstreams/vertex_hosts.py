"""Where Vertex AI is: its host for a location, and the path of a project's resources."""

from __future__ import annotations

from urllib.parse import quote

from plugins.translate.credentials.gcp import GcpOptions

_MULTI_REGIONS = ("us", "eu")


def base_url(location: str) -> str:
    """Return the URL of a location's endpoint: a region, a multi-region or `global`."""
    if location == "global":
        return "https://aiplatform.googleapis.com/v1"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com/v1"
    return f"https://{location}-aiplatform.googleapis.com/v1"


def home(options: GcpOptions) -> str:
    """Return the path that a project's resources have in a location."""
    project, location = quote(options.project, safe=":"), quote(options.location, safe="")
    return f"/projects/{project}/locations/{location}"
