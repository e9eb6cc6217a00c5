"""The person at a browser: open the page of a sign-in, type a key, and print the URL to which the form leads.

Arguments: the URL of the page, and `follow` to open that URL, too.
"""

import http.client
import sys
import time
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

KEY = "sandbox-key"
ATTEMPTS = 50  # of 0.1 s, until the client listens


def connect(url: str) -> str:
    """Return the URL to which the form leads."""
    page = urlsplit(url)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    for method, form, status in (("GET", None, 200), ("POST", urlencode({"key": KEY}), 302)):
        connection = http.client.HTTPConnection(page.netloc)
        connection.request(method, f"{page.path}?{page.query}", form, headers)
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == status, f"{response.status}: {body}"
    return response.headers["Location"] or ""


def follow(url: str) -> None:
    """Open the client's own address."""
    for _ in range(ATTEMPTS):
        try:
            urlopen(url).read()  # noqa: S310  # on loopback
        except OSError:
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    target = connect(sys.argv[1])
    sys.stdout.write(f"{target}\n")
    if sys.argv[2:]:
        follow(target)
