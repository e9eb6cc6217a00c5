"""Proxy and CA certificate settings from the environment, and whether requests can use them."""

from pathlib import Path

import pytest

from scenext_service.scenext.transport.proxies import InvalidSetting, Proxy, check_certificates, find_proxy
from tests.support.messages import KEY
from tests.support.upstream import CERTIFICATE

API = "https://api.scenext.cn/api"
PLAIN = "http://127.0.0.1:9/api"
ADDRESS = "proxy.example:3128"
URL = f"http://{ADDRESS}"


@pytest.mark.parametrize(
    ("environ", "api", "expected"),
    [
        pytest.param({}, API, None, id="no proxy"),
        pytest.param({"HTTPS_PROXY": URL}, API, "HTTPS_PROXY", id="HTTPS_PROXY"),
        pytest.param({"HTTP_PROXY": URL}, API, None, id="other scheme"),
        pytest.param({"HTTP_PROXY": URL}, PLAIN, "HTTP_PROXY", id="HTTP_PROXY"),
        pytest.param({"ALL_PROXY": URL}, API, "ALL_PROXY", id="ALL_PROXY"),
        pytest.param(
            {"ALL_PROXY": "http://other:1", "HTTPS_PROXY": URL}, API, "HTTPS_PROXY", id="HTTPS_PROXY over ALL_PROXY"
        ),
        pytest.param(
            {"HTTPS_PROXY": "http://other:1", "https_proxy": URL}, API, "https_proxy", id="lowercase over uppercase"
        ),
        pytest.param({"HTTPS_PROXY": " ", "ALL_PROXY": URL}, API, "ALL_PROXY", id="blank variable"),
        pytest.param({"HTTPS_PROXY": URL, "NO_PROXY": ".scenext.cn"}, API, None, id="host in NO_PROXY"),
        pytest.param({"HTTPS_PROXY": URL, "no_proxy": "*"}, API, None, id="wildcard in NO_PROXY"),
        pytest.param({"HTTPS_PROXY": URL, "NO_PROXY": "elsewhere"}, API, "HTTPS_PROXY", id="other host in NO_PROXY"),
        pytest.param({"HTTPS_PROXY": "http://", "NO_PROXY": "*"}, API, None, id="unusable but unused proxy"),
        pytest.param({"HTTPS_PROXY": ADDRESS}, API, "HTTPS_PROXY", id="no scheme"),
        pytest.param({"HTTPS_PROXY": f"{URL}/"}, API, "HTTPS_PROXY", id="trailing slash"),
        pytest.param({"HTTPS_PROXY": f"http://user:{KEY}@{ADDRESS}"}, API, "HTTPS_PROXY", id="URL with a password"),
    ],
)
def test_the_proxy_is_the_one_requests_would_use(environ: dict[str, str], api: str, expected: str | None) -> None:
    """Ours: requests 2.34, `utils.get_environ_proxies` and `select_proxy`."""
    assert find_proxy(api, environ) == (None if expected is None else Proxy(expected, ADDRESS))


@pytest.mark.parametrize(
    "value",
    [
        *("localhost:3128", "http://", ":3128", "http://:3128", "http:/proxy:3128", "http//proxy:3128", "http://[::1"),
        *("proxy example", "http://proxy:99999", "http://proxy:port", "ftp://proxy:1", "tcp://10.0.0.1:80", "//"),
        *(f"http://user:{KEY}#x@proxy:3128", f"http://user:{KEY}@proxy:port", f"ftp://user:{KEY}@proxy", f"{URL}/path"),
    ],
)
def test_an_invalid_proxy_url_is_reported_without_its_password(value: str) -> None:
    """Ours: requests would fail on every call without naming the variable."""
    with pytest.raises(InvalidSetting) as caught:
        find_proxy(API, {"HTTPS_PROXY": value})
    assert str(caught.value) == "HTTPS_PROXY must be the URL of a proxy, for example http://proxy.example:3128"


def test_a_socks_proxy_requires_pysocks() -> None:
    """Ours: requests' manual, "SOCKS"; PySocks is not one of our dependencies."""
    with pytest.raises(InvalidSetting) as caught:
        find_proxy(API, {"ALL_PROXY": f"socks5h://user:{KEY}@proxy.example:1080"})
    assert str(caught.value) == "ALL_PROXY must not name a SOCKS proxy without PySocks: install `requests[socks]`"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_usable_certificate_settings_are_accepted(name: str, tmp_path: Path) -> None:
    """Ours: a file, or a directory in OpenSSL's layout."""
    check_certificates(API, {name: str(CERTIFICATE)})
    check_certificates(API, {name: str(tmp_path)})


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_missing_certificate_path_is_reported(name: str, tmp_path: Path) -> None:
    """Ours: otherwise the service would start and every call would fail."""
    missing = tmp_path / "none.pem"
    with pytest.raises(InvalidSetting) as caught:
        check_certificates(API, {name: str(missing)})
    assert str(caught.value) == (
        f"{name} must be a file with certificates, or a folder of them; '{missing}': No such file or directory"
    )


def test_a_file_without_certificates_is_reported(tmp_path: Path) -> None:
    """Ours: otherwise the service would start and every call would fail."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate", encoding="utf-8")
    with pytest.raises(InvalidSetting, match=r"^REQUESTS_CA_BUNDLE must be .*: no certificate in PEM$"):
        check_certificates(API, {"REQUESTS_CA_BUNDLE": str(wrong)})


@pytest.mark.parametrize(
    ("api", "environ"),
    [
        pytest.param(PLAIN, {"REQUESTS_CA_BUNDLE": "/nowhere"}, id="no TLS"),
        pytest.param(API, {"SSL_CERT_FILE": "/nowhere"}, id="variable that requests ignores"),
        pytest.param(
            API, {"REQUESTS_CA_BUNDLE": str(CERTIFICATE), "CURL_CA_BUNDLE": "/nowhere"}, id="lower-priority variable"
        ),
    ],
)
def test_unused_certificate_settings_are_not_checked(api: str, environ: dict[str, str]) -> None:
    """Ours: requests 2.34, `sessions.Session.merge_environment_settings`."""
    check_certificates(api, environ)
