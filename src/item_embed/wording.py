"""Numbers with their nouns, as people read them: 1 query, 2,000 queries."""


def number_of(count: int, one: str, several: str = "") -> str:
    """A number and its noun.

    Args:
        count: how many there are.
        one: what one is called.
        several: what any other number is called; by default with an s.

    Examples:
        >>> number_of(1, "query", "queries"), number_of(0, "row"), number_of(2000, "row")
        ('1 query', '0 rows', '2,000 rows')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def are(count: int) -> str:
    """The verb that goes with a number.

    Examples:
        >>> are(1), are(2)
        ('is', 'are')
    """
    return "is" if count == 1 else "are"
