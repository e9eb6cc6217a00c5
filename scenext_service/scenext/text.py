"""Text from outside, made fit for a sentence of ours."""


def printable(text: str) -> str:
    """Return the text with a blank for each control, format or unassigned character."""
    # Most text is clean: check it whole before going through its characters.
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def one_line(text: str, limit: int) -> str:
    """Return the text on one line without control and format characters, cut to `limit` characters."""
    clean = " ".join(printable(text[: 4 * limit]).split())
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
