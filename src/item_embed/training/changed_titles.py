"""A title as another seller may have worded it: one of the two views that agreement brings together.

Words are what spaces part, in any script; letters are swapped, doubled, left out or exchanged for others of the title.
"""

from random import Random

_SHORT = 4  # letters of a word below which it is not misspelt or cut


def change_title(title: str, other: str, key: int, strength: float = 1.0) -> str:
    """A random view of a title: a function of both titles and the key.

    In this order: words left out, the first more often than others, since most feeds begin with the brand; words
    misspelt or cut short; one to three words of another title put in; all in another order.

    Args:
        title: of the product; it has at least one word.
        other: of any product, whose words may be put in.
        key: of the draws.
        strength: all probabilities are multiplied by it; at 0 nothing changes but spaces.

    Returns:
        A title of at least one word.

    Examples:
        >>> change_title("Acme red ceramic mug", "Blue shoe", key=3)
        'Ace red ceramic mug'
    """
    draw = Random(key)  # `random()` of a seed is the same in every version of Python

    def happens(probability: float) -> bool:
        return draw.random() < probability * strength

    words = title.split()
    left_out = 0.3 * draw.random()
    first = left_out + 0.15
    kept = [word for i, word in enumerate(words) if not happens(left_out if i else first)]
    changed = [_misspelt(word, happens(0.1), happens(0.1), draw) for word in kept or [_one_of(words, draw)]]
    if happens(0.3) and (foreign := other.split()):
        for _ in range(1 + int(3 * draw.random())):
            changed.insert(int((len(changed) + 1) * draw.random()), _one_of(foreign, draw))
    if happens(0.3):
        changed.sort(key=lambda _: draw.random())
    return " ".join(changed)


def _misspelt(word: str, wrong: bool, short: bool, draw: Random) -> str:
    if len(word) < _SHORT or not (wrong or short):
        return word
    if short and not wrong:
        return word[: 2 + int((len(word) - 2) * draw.random())]
    place = 1 + int((len(word) - 2) * draw.random())
    before, letter, after = word[:place], word[place], word[place + 1 :]
    forms = (
        before + after,
        before + 2 * letter + after,
        before + after[0] + letter + after[1:],
        before + _one_of(word, draw) + after,
    )
    return forms[int(len(forms) * draw.random())]


def _one_of(choices: "list[str] | str", draw: Random) -> str:
    return choices[int(len(choices) * draw.random())]
