"""The search by words: BM25 in SQL, over the words that each title was cut into when it was stored.

PostgreSQL's own `ts_rank` and `ts_rank_cd` do not count how rare a word is, so that in "red Birkenstock" both words
weigh the same. With the words as an array the weights are those of FTS5, which the index in a folder is searched by.
"""

import re
import unicodedata

from item_embed.search.conditions import Condition

_WORD = re.compile(r"[^\W_]+")
_LONGEST = 200  # letters of a word that count: an index of PostgreSQL takes none of more than 2,700 bytes

# k1 = 1.2 and b = 0.75, as in FTS5, which also lets a word that most titles have count for next to nothing.
_BM25 = """
WITH asked AS MATERIALIZED (
    SELECT word, length, greatest(ln((products - titles + 0.5)::float8 / (titles + 0.5)::float8), 1e-6) AS weight
    FROM (SELECT products, greatest(words, 1)::float8 / greatest(products, 1) AS length FROM manifest) AS of_all
    CROSS JOIN unnest(%s::text[]) AS word
    CROSS JOIN LATERAL (SELECT count(*) AS titles FROM items WHERE words @> ARRAY[word]) AS with_it
)
SELECT number FROM items JOIN asked ON words @> ARRAY[word]
CROSS JOIN LATERAL (SELECT count(*)::float8 AS times FROM unnest(words) AS one WHERE one = word) AS in_it
WHERE {where} GROUP BY number
ORDER BY sum(weight * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * cardinality(words) / length)) ORDER BY word) DESC, tie
LIMIT %s
"""


def words_of(title: str | None) -> list[str]:
    """The words of a title, in its order: letters and digits, in lower case and without marks above and below them.

    Examples:
        >>> words_of("Würfel-Mug No. 5")
        ['wurfel', 'mug', 'no', '5']
    """
    whole = (title or "").encode(errors="ignore").decode()  # as PostgreSQL takes it
    marked = unicodedata.normalize("NFKD", whole).lower()
    bare = "".join(letter for letter in marked if not unicodedata.combining(letter))
    return [word[:_LONGEST] for word in _WORD.findall(bare)]


def ranking(title: str, limit: int, where: Condition | None) -> Condition:
    """The query of the numbers of products whose titles share words with a title, best first, ties by tie key."""
    passing = where or Condition("true")
    asked = sorted(set(words_of(title)))
    return Condition(_BM25.format(where=passing.sql), (asked, *passing.bound, limit))
