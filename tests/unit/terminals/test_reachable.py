"""Where an own processor may be: owners enter addresses, and this system calls them."""

import pytest

from csms.terminals.processors import Reachable

LIVE = Reachable(hosts=("mypayter.com",))
DEVELOPMENT = Reachable(hosts=("mypayter.com",), loopback=True)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://cps.mypayter.com", "https://cps.mypayter.com/"),
        ("https://CPS-test.MyPayter.com/", "https://cps-test.mypayter.com/"),
        ("https://api.mypayter.com:443/API", "https://api.mypayter.com/API/"),
    ],
)
def test_the_providers_hosts_are_reached(given: str, kept: str) -> None:
    assert LIVE.address(given) == kept
    assert LIVE.address(kept) == kept


@pytest.mark.parametrize("url", ["http://127.0.0.1:8090/", "http://localhost:1/API/", "http://[::1]:8090/"])
def test_a_simulator_on_this_machine_is_reached_in_development_alone(url: str) -> None:
    assert DEVELOPMENT.address(url) == url
    with pytest.raises(ValueError, match="https"):
        LIVE.address(url)


@pytest.mark.parametrize("reachable", [LIVE, DEVELOPMENT])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "cps.mypayter.com",
        "//cps.mypayter.com/",
        "http://cps.mypayter.com/",
        "https://mypayter.com.evil.example/",
        "https://evilmypayter.com/",
        "https://cps.mypayter.com./",
        "https://cps.mypayter.com:8443/",
        "https://cps.mypayter.com:port/",
        "https://user:pw@cps.mypayter.com/",
        "https://cps.mypayter.com@evil.example/",
        "https://cps.mypayter.com\\@evil.example/",
        "https://cps.mypayter.com/?to=x",
        "https://cps.mypayter.com/#x",
        "https://cps.mypayter.com/../x",
        "https://cps.mypayter.com/%2e%2e/",
        "https://cps.mypayter.com/a\r\nHost: x",
        "https://169.254.169.254/",
        "http://169.254.169.254/latest/",
        "http://10.0.0.1/",
        "http://127.0.0.2/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://[::ffff:10.0.0.1]/",
        "http://localhost.evil.example/",
        "http://127.0.0.1:99999/",
        "https://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https://[::1",
        "https://mypayter。com/",
        f"https://cps.mypayter.com/{'a/' * 200}",
    ],
)
def test_whatever_leads_elsewhere_is_refused(reachable: Reachable, url: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|must) "):
        reachable.address(url)
