"""Text from outside, made fit for a sentence of ours."""


def one_line(text: str, limit: int) -> str:
    """Return the text on one line without control and format characters, cut to `limit` characters."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * limit]).split())
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
