"""Who is signed in on a browser, when several things happen on it at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from auth_server.domain.browsers import Browser, SignIn
from auth_server.store.records import User
from tests import proves
from tests.people import join
from tests.sites import Site, site

ROUNDS = 40


@pytest.fixture
def here(tmp_path):
    return site(tmp_path)


@pytest.fixture
def jane(here: Site) -> User:
    return join(here)


@proves("S-094")
def test_a_logout_misses_no_client_and_is_not_undone(here: Site, jane: User):
    """Whoever is told of a sign-in while it ends hears of its end, or is not told."""
    browsers, meeting = here.server.browsers, Barrier(3)

    def tell(browser: Browser, sign_in: SignIn, client_id: str) -> bool:
        meeting.wait()
        return browsers.tell(browser, sign_in, client_id)

    def sign_out(cookie: str) -> tuple[SignIn, ...]:
        meeting.wait()
        return browsers.sign_out(cookie)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(ROUNDS):
            cookie, browser = browsers.sign_in(browsers.new_cookie(), jane, ("pwd",))
            (sign_in,) = browser.sign_ins
            told = {name: pool.submit(tell, browser, sign_in, name) for name in ("first", "second")}
            (ended,) = pool.submit(sign_out, cookie).result()
            assert {name for name, answer in told.items() if answer.result()} == set(ended.clients)
            assert browsers.find(cookie) is None


def test_two_clients_are_told_at_once(here: Site, jane: User):
    """Neither is forgotten."""
    browsers, meeting = here.server.browsers, Barrier(2)

    def tell(browser: Browser, client_id: str) -> bool:
        meeting.wait()
        return browsers.tell(browser, browser.sign_ins[0], client_id)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            cookie, browser = browsers.sign_in(browsers.new_cookie(), jane, ("pwd",))
            assert list(pool.map(tell, (browser, browser), ("first", "second"))) == [True, True]
            found = browsers.find(cookie)
            assert found is not None
            assert set(found.sign_ins[0].clients) == {"first", "second"}


def test_the_eleventh_account_ends_the_first(here: Site):
    """Of one browser; its clients hear of it."""
    browsers = here.server.browsers
    cookie = browsers.new_cookie()
    for number in range(11):
        user = join(here, f"person{number}")
        cookie, browser = browsers.sign_in(cookie, user, ("pwd",))
        if number == 0:
            first = browser.sign_ins[0]
            assert browsers.tell(browser, first, "client")
    assert len(browser.sign_ins) == 10
    assert first.uid not in {one.uid for one in browser.sign_ins}
    assert here.server.sign_outs.has_ended(first.sid)
