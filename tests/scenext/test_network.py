"""What the environment says about the way to Scenext, and whether requests could use it."""

from pathlib import Path

import pytest

from scenext_service.scenext.network import Proxy, Unusable, check_certificates, proxy
from tests.support.messages import KEY
from tests.support.upstream import CERTIFICATE

API = "https://api.scenext.cn/api"
PLAIN = "http://127.0.0.1:9/api"
ADDRESS = "proxy.example:3128"
URL = f"http://{ADDRESS}"


@pytest.mark.parametrize(
    ("environ", "api", "expected"),
    [
        pytest.param({}, API, None, id="none"),
        pytest.param({"HTTPS_PROXY": URL}, API, "HTTPS_PROXY", id="https"),
        pytest.param({"HTTP_PROXY": URL}, API, None, id="for another scheme"),
        pytest.param({"HTTP_PROXY": URL}, PLAIN, "HTTP_PROXY", id="http"),
        pytest.param({"ALL_PROXY": URL}, API, "ALL_PROXY", id="all"),
        pytest.param({"ALL_PROXY": "http://other:1", "HTTPS_PROXY": URL}, API, "HTTPS_PROXY", id="https before all"),
        pytest.param({"HTTPS_PROXY": "http://other:1", "https_proxy": URL}, API, "https_proxy", id="lower case first"),
        pytest.param({"HTTPS_PROXY": " ", "ALL_PROXY": URL}, API, "ALL_PROXY", id="blank is not set"),
        pytest.param({"HTTPS_PROXY": URL, "NO_PROXY": ".scenext.cn"}, API, None, id="not for this host"),
        pytest.param({"HTTPS_PROXY": URL, "no_proxy": "*"}, API, None, id="for no host"),
        pytest.param({"HTTPS_PROXY": URL, "NO_PROXY": "elsewhere"}, API, "HTTPS_PROXY", id="for this host"),
        pytest.param({"HTTPS_PROXY": "http://", "NO_PROXY": "*"}, API, None, id="unusable, but not used"),
        pytest.param({"HTTPS_PROXY": ADDRESS}, API, "HTTPS_PROXY", id="without a scheme"),
        pytest.param({"HTTPS_PROXY": f"{URL}/"}, API, "HTTPS_PROXY", id="with a slash"),
        pytest.param(
            {"HTTPS_PROXY": f"http://user:{KEY}@{ADDRESS}"}, API, "HTTPS_PROXY", id="the password is left out"
        ),
    ],
)
def test_the_proxy_is_the_one_that_requests_uses(environ: dict[str, str], api: str, expected: str | None) -> None:
    """Ours: requests 2.34, `utils.get_environ_proxies` and `select_proxy`."""
    assert proxy(api, environ) == (None if expected is None else Proxy(expected, ADDRESS))


@pytest.mark.parametrize(
    "value",
    [
        *("localhost:3128", "http://", ":3128", "http://:3128", "http:/proxy:3128", "http//proxy:3128", "http://[::1"),
        *("proxy example", "http://proxy:99999", "http://proxy:port", "ftp://proxy:1", "tcp://10.0.0.1:80", "//"),
        *(f"http://user:{KEY}#x@proxy:3128", f"http://user:{KEY}@proxy:port", f"ftp://user:{KEY}@proxy", f"{URL}/path"),
    ],
)
def test_a_proxy_that_is_no_url_is_named_and_its_password_not_shown(value: str) -> None:
    """Ours: requests would fail with each call, and say nothing of the variable."""
    with pytest.raises(Unusable) as caught:
        proxy(API, {"HTTPS_PROXY": value})
    assert str(caught.value) == "HTTPS_PROXY must be the URL of a proxy, as http://proxy.example:3128"


def test_a_socks_proxy_needs_a_package() -> None:
    """Ours: requests' manual, "SOCKS"; PySocks is none of our packages."""
    with pytest.raises(Unusable) as caught:
        proxy(API, {"ALL_PROXY": f"socks5h://user:{KEY}@proxy.example:1080"})
    assert str(caught.value) == "ALL_PROXY must not name a SOCKS proxy without PySocks: install `requests[socks]`"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_can_be_used_are_let_be(name: str, tmp_path: Path) -> None:
    """Ours: a file, or a folder as OpenSSL wants it."""
    check_certificates(API, {name: str(CERTIFICATE)})
    check_certificates(API, {name: str(tmp_path)})


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_named(name: str, tmp_path: Path) -> None:
    """Ours: the service would start, and every call would fail."""
    missing = tmp_path / "none.pem"
    with pytest.raises(Unusable) as caught:
        check_certificates(API, {name: str(missing)})
    assert str(caught.value) == (
        f"{name} must be a file with certificates, or a folder of them; '{missing}': No such file or directory"
    )


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    """Ours: the same."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate", encoding="utf-8")
    with pytest.raises(Unusable, match=r"^REQUESTS_CA_BUNDLE must be .*: no certificate in PEM$"):
        check_certificates(API, {"REQUESTS_CA_BUNDLE": str(wrong)})


@pytest.mark.parametrize(
    ("api", "environ"),
    [
        pytest.param(PLAIN, {"REQUESTS_CA_BUNDLE": "/nowhere"}, id="no TLS"),
        pytest.param(API, {"SSL_CERT_FILE": "/nowhere"}, id="not read by requests"),
        pytest.param(API, {"REQUESTS_CA_BUNDLE": str(CERTIFICATE), "CURL_CA_BUNDLE": "/nowhere"}, id="the second"),
    ],
)
def test_certificates_that_are_not_used_are_not_looked_at(api: str, environ: dict[str, str]) -> None:
    """Ours: requests 2.34, `sessions.Session.merge_environment_settings`."""
    check_certificates(api, environ)
