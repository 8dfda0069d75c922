"""Values as a spreadsheet shows them."""


def cell(value: object) -> object:
    """A value for a CSV file; a text is never taken for a formula.

    Examples:
        >>> cell(0.5), cell(True), cell("=1+1")
        ('0.5000', 'yes', "'=1+1")
    """
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
