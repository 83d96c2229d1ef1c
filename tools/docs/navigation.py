"""The order of the site's pages. A page that is missing here fails the build."""

from collections.abc import Mapping, Sequence

SECTIONS: Mapping[str, Sequence[str]] = {
    "Begin": ("start",),
    "How to": (
        "how-to/sign-in",
        "how-to/logout",
        "how-to/script",
        "how-to/resource-service",
        "how-to/prometheus",
        "how-to/apache",
        "how-to/dovecot",
        "how-to/second-factor",
        "how-to/own-account",
        "how-to/people-and-clients",
        "how-to/register-clients",
        "how-to/bind-tokens",
        "how-to/rotate-keys",
        "how-to/databases",
        "how-to/back-up",
        "how-to/redis",
        "how-to/proxy",
        "how-to/deploy",
        "how-to/from-photoprism",
    ),
    "Understand": (
        "concepts/tokens",
        "concepts/sessions",
        "concepts/scopes-and-roles",
        "concepts/what-ends-a-token",
        "concepts/keys",
        "consistency",
        "capacity",
    ),
    "Look up": (
        "reference/api/index",
        "reference/commands",
        "reference/settings",
        "reference/errors",
        "divergences",
        "api-stability",
        "changelog",
    ),
    "Inside": ("architecture", "security", "conformance", "dependencies", "decisions/index"),
}
"""Heads of the list beside each page, and the pages below them."""
