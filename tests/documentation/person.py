"""The admin of a reader's server, who follows a link, signs in and allows what is asked; prints the page at its end.

Usage: python -m tests.documentation.person LINK
"""

import html
import re
import sys

import requests

from tests.documentation.reader import ADMIN_PASSWORD

FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


def follow(link: str, **typed: str) -> str:
    """Go where a link leads, fill in the forms of our pages, and return the page of the client.

    Args:
        typed: what else is typed, by name of the field.
    """
    answers = {"username": "admin", "password": ADMIN_PASSWORD, "decision": "allow", **typed}
    browser = requests.Session()
    page = browser.get(link, timeout=10)
    for _ in range(5):
        shown = [name for name in answers if f'name="{name}"' in page.text]
        if not shown:
            break
        filled = {name: html.unescape(value) for name, value in FIELD.findall(page.text)}
        page = browser.post(page.url, {**filled, **{name: answers[name] for name in shown}}, timeout=10)
    return page.text


if __name__ == "__main__":
    print(follow(*sys.argv[1:2], **dict(part.split("=", 1) for part in sys.argv[2:])))
