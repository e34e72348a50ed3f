"""Parser that records the elements of an HTML page, for tests of pages."""

from __future__ import annotations

from html.parser import HTMLParser


class Outline(HTMLParser):
    """Checks that tags nest and gathers what tests ask about."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.pictures, self.anchors, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "svg":
            self.pictures.append(attributes)
        if "href" in attributes:
            self.anchors.append(attributes["href"])
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag != "meta" and tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()
