"""The methods that `item compare` trains and compares: each learns from rows and embeds rows."""
