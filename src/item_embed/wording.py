"""Numbers with their nouns, and times, as people read them: 1 query, 2,000 queries, 1.5 hours."""


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


def duration(seconds: float) -> str:
    """About how long something takes.

    Examples:
        >>> duration(1), duration(600), duration(9000)
        ('1 second', '10 minutes', '2.5 hours')
    """
    if seconds < 90:
        return number_of(round(seconds), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
