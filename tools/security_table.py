"""Write docs/security.md: each attack or fault by number, the tests that prove the answer to it, and the state.

The tests say what they prove by `@proves("S-…")`; what has no endpoint yet says why.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parent.parent / "docs/security.md"
PASSKEYS = "no passkeys yet"
MUTUAL_TLS = "no mutual TLS yet"
CIBA = "no CIBA yet"
DOCUMENTS = "no client id metadata documents yet"
EXCHANGE = "no token exchange and no JWT bearer grant yet"

# number: (what it is about, why nothing can prove it yet or "")
NUMBERS: dict[int, tuple[str, str]] = {
    1: ("unknown clients and wrong secrets look alike", ""),
    2: ("two ways of client authentication at once", ""),
    3: ("another authentication method than the registered one", ""),
    4: ("a confidential client that does not authenticate", ""),
    5: ("a replayed client assertion", ""),
    6: ("an assertion for another audience, or for several", ""),
    7: ("an assertion with missing or wrong claims", ""),
    8: ("an assertion signed by a confused algorithm", ""),
    9: ("a key that the token brings along", ""),
    10: ("secrets in the query string", ""),
    11: ("a repeated parameter", ""),
    12: ("a grant that the client is not registered for", ""),
    13: ("a disabled or removed client", ""),
    14: ("errors before client and redirect URI are known", ""),
    15: ("a redirect URI that only resembles the registered one", ""),
    16: ("the loopback rule, abused", ""),
    17: ("redirect URIs that run code", ""),
    18: ("wrong requests with a foreign redirect URI", ""),
    19: ("a redirect that repeats the form", ""),
    20: ("mix-up of authorization servers", ""),
    21: ("HTML in form_post", ""),
    22: ("a response type that is not registered", ""),
    23: ("scopes that a client may not have", ""),
    24: ("interaction fields that were changed", ""),
    25: ("pages in a foreign frame", ""),
    26: ("fresh sign-in, dodged", ""),
    27: ("a local program that uses another's client id", ""),
    28: ("names of clients that deceive", ""),
    29: ("a code redeemed twice", ""),
    30: ("a code redeemed fifty times at once", ""),
    31: ("a code of another client", ""),
    32: ("PKCE taken away", ""),
    33: ("PKCE without S256", ""),
    34: ("a user disabled between code and token", ""),
    35: ("a dump of the store", ""),
    36: ("a rotated refresh token used again", ""),
    37: ("parallel refreshes", ""),
    38: ("a lost answer to a refresh", ""),
    39: ("a foreign refresh token", ""),
    40: ("refresh under FAPI", ""),
    41: ("refreshing for ever", ""),
    42: ("refresh after rights are gone", ""),
    43: ("alg none, and HMAC with a public key", ""),
    44: ("critical headers that nobody knows", ""),
    45: ("a token of another kind or audience", ""),
    46: ("a revoked JWT with a good signature", ""),
    47: ("huge and compressed tokens", ""),
    48: ("weak ID token algorithms at registration", ""),
    49: ("a client id that is a user's name", ""),
    50: ("introspection without credentials", ""),
    51: ("introspection with a token that lacks the scope", ""),
    52: ("introspection of tokens meant for others", ""),
    53: ("revoking another client's token", ""),
    54: ("revocation is complete", ""),
    55: ("revocation while the store is away", ""),
    56: ("session fixation", ""),
    57: ("cookie attributes", ""),
    58: ("forged forms", ""),
    59: ("a copied cookie", ""),
    60: ("a disabled or removed user", ""),
    61: ("changes without a recent sign-in", ""),
    62: ("HTML reflected on pages", ""),
    63: ("open redirects after login", ""),
    64: ("API calls with only a cookie", ""),
    65: ("guessing passwords and secrets", ""),
    66: ("forged forwarding headers against throttles", ""),
    67: ("lock-out as a weapon", ""),
    68: ("probing for accounts", ""),
    69: ("the second factor, skipped", ""),
    70: ("a code used twice", ""),
    71: ("codes guessed", ""),
    72: ("passkey assertions replayed", PASSKEYS),
    73: ("passkeys registered by others", PASSKEYS),
    74: ("weak new passwords", ""),
    75: ("an app password on the login page", ""),
    76: ("an app password outside its scope", ""),
    77: ("an app password that changes credentials", ""),
    78: ("sessions of a removed app password", ""),
    79: ("other people's app passwords and second factors", ""),
    80: ("broken bodies at POST session", ""),
    81: ("closed registration", ""),
    82: ("registration that sets what only admins may", ""),
    83: ("dangerous metadata", ""),
    84: ("registration tokens of others", ""),
    85: ("fetches of private addresses", ""),
    86: ("fetched hosts that are slow or large", ""),
    87: ("request_uri that is not registered", ""),
    88: ("bad request objects", ""),
    89: ("request objects that contradict the request", ""),
    90: ("bad client metadata documents", DOCUMENTS),
    91: ("floods of registrations and requests", ""),
    92: ("a forced logout", ""),
    93: ("a foreign way back from a logout", ""),
    94: ("what a logout leaves alive", ""),
    95: ("a logout token taken for an ID token", ""),
    96: ("clients that are down when somebody signs out", ""),
    97: ("frames of logout and session management", ""),
    98: ("a DPoP proof that comes again", ""),
    99: ("wrong DPoP proofs", ""),
    100: ("bound tokens in the wrong hands", ""),
    101: ("a client that must prove a key, and does not", ""),
    102: ("a code that is bound to another key", ""),
    103: ("DPoP proofs without a nonce", ""),
    **dict.fromkeys(range(104, 107), ("mutual TLS", MUTUAL_TLS)),
    107: ("the name of a pushed request in other hands, or used again", ""),
    108: ("wrong pushed requests", ""),
    109: ("requests that are not pushed, and must be", ""),
    110: ("user codes that are guessed", ""),
    111: ("device codes polled too fast, or used twice", ""),
    112: ("a device that somebody far away holds", ""),
    113: ("a person disabled between approval and token", ""),
    **dict.fromkeys(range(114, 117), ("CIBA", CIBA)),
    **dict.fromkeys(range(117, 121), ("token exchange and JWT bearer", EXCHANGE)),
    121: ("rotation under load", ""),
    122: ("a stolen signing key", ""),
    123: ("private members in the JWKS", ""),
    124: ("a stolen database, open key files", ""),
    125: ("weak keys brought in", ""),
    126: ("admin routes without the scope", ""),
    127: ("users who raise themselves", ""),
    128: ("HTML and formulas in the console", "no console yet"),
    129: ("search and paging as an attack", "lists in the admin API come later"),
    130: ("a deleted name made again", ""),
    131: ("kill -9 under load", ""),
    132: ("Redis away", ""),
    133: ("Redis flushed", ""),
    134: ("a database that cannot be written", ""),
    135: ("answers that meet the wrong request", ""),
    136: ("the same name made twice at once", ""),
    137: ("clocks that differ", ""),
    138: ("an old backup", ""),
    139: ("two hundred logins at once", ""),
    140: ("slow connections, and too many", ""),
    141: ("bodies and fields beyond measure", ""),
    142: ("costly keys", ""),
    143: ("request smuggling", ""),
    144: ("header look-alikes", ""),
    145: ("forged hosts", ""),
    146: ("cacheable secrets", ""),
    147: ("wrong methods and types", ""),
    148: ("CORS", ""),
    149: ("http where https belongs", ""),
    150: ("secrets in logs", ""),
    151: ("internals in answers", ""),
    152: ("pairwise subjects", ""),
    153: ("claims beyond consent", ""),
    154: ("metrics for strangers", ""),
    155: ("audit records", ""),
    156: ("altered dependencies", ""),
    157: ("secrets built in", ""),
    158: ("dangerous settings", ""),
    159: ("discovery that promises too much or too little", ""),
}
HEAD = """\
# Security: attacks, and the tests that prove the answers

Made from the tests by `make security`; do not edit. The numbers are those of the project's catalogue of attacks and
faults. *proven* means that at least one test in the suite fails when the answer is wrong; *open* means that the answer
is due and no test proves it yet; all else says what has to be there first.

| number | about | state | proven by |
| --- | --- | --- | --- |
"""


class Collector:
    """Keeps what pytest has found, whatever is deselected afterwards."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.items = list(items)


def proofs(items: Iterable[pytest.Item]) -> dict[int, set[str]]:
    """Return which test functions prove which number."""
    tests: dict[int, set[str]] = defaultdict(set)
    for item in items:
        for marker in item.iter_markers("proves"):
            for text in marker.args:
                if text.startswith("S-"):
                    name = item.name.partition("[")[0]
                    tests[int(text[2:])].add(f"{item.path.relative_to(FILE.parents[1]).as_posix()}::{name}")
    return tests


def render(tests: Mapping[int, set[str]]) -> str:
    """Return the file's text."""
    rows = []
    for number in range(1, 160):
        about, waits = NUMBERS[number]
        proven_by = sorted(tests.get(number, ()))
        state = "proven" if proven_by else waits or "open"
        if proven_by and waits:
            state = f"proven as far as there is something; {waits}"
        shown = "<br>".join(f"`{proof.removeprefix('tests/')}`" for proof in proven_by[:4])
        more = f"<br>and {len(proven_by) - 4} more" if len(proven_by) > 4 else ""
        rows.append(f"| S-{number:03d} | {about} | {state} | {shown}{more} |")
    return HEAD + "\n".join(rows) + "\n"


def main() -> int:
    """Collect, then write or compare."""
    collector = Collector()
    pytest.main(["--collect-only", "-p", "no:terminal", "-p", "no:xdist"], plugins=[collector])
    text = render(proofs(collector.items))
    if "--check" in sys.argv:
        if FILE.read_text() != text:
            print(f"{FILE} is old; run: make security", file=sys.stderr)
            return 1
        return 0
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
