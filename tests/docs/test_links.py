"""Every relative link on a page leads somewhere."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.docs

_ROOT = Path(__file__).parents[2]
_PAGES = sorted(
    [*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md"), *(_ROOT / "plugins").rglob("*.md")]
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# What belongs to the place where somebody works, not to the project.
_FOREIGN = re.compile(
    r"/(?:work|home|root|Users)/|DESIGN\.md|shared/notes|\bissue #?\d", re.IGNORECASE
)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_lead_somewhere(page):
    broken = [link for link in _links(page) if not _leads_somewhere(page, link)]

    assert broken == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_a_page_speaks_of_the_project_alone(page):
    assert _FOREIGN.findall(page.read_text(encoding="utf-8")) == []


def test_every_page_can_be_reached_from_the_readme():
    seen, ahead = set(), [_ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        ahead += [
            target
            for link in _links(page)
            if (target := (page.parent / link.partition("#")[0]).resolve()).suffix == ".md"
            and target.is_file()
        ]

    assert set((_ROOT / "docs").rglob("*.md")) - seen - _examples() == set()


def _links(page):
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return [link for link in _LINK.findall(text) if not link.startswith(("http:", "https:"))]


def _leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or _ROOT not in target.parents:
        return False
    return not anchor or anchor in _anchors(target)


def _anchors(page):
    # GitHub's rule: lower case, spaces to dashes, other punctuation gone.
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _examples():
    return set((_ROOT / "docs/examples").rglob("*.md"))
