"""Sign-in (OAuth 2.1) for hosts that cannot send a header. Beta, and imported only if SCENEXT_OAUTH_URL is set.

A person types their Scenext key on a page, and the client gets a token, which is an encrypted envelope around the key.
Nothing is stored. This package imports nothing else of this service, and can be deleted as a whole.

    http        the documents and the addresses register, authorize and token; the only module that imports Flask
    sign_in     the rules behind these addresses: requests for codes, redirects, the exchange of codes for tokens
    clients     clients and the addresses that a sign-in may return to; a client's id holds its registration
    envelopes   encryption of codes and tokens; the only module that imports cryptography
    used_codes  codes that were exchanged on this machine

Source: MCP 2026-07-28 and 2025-11-25, basic/authorization; OAuth 2.1, draft 13; RFC 6749, 6750, 7591, 7636, 8252, 8414,
8707, 9207 and 9728.
"""

from .http import Pages, create_blueprint
from .sign_in import TOKEN_PREFIX, SignIn

__all__ = ["TOKEN_PREFIX", "Pages", "SignIn", "create_blueprint"]
