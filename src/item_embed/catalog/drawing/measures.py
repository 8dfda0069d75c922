"""The ways in which sellers write a size or a model number."""

from functools import lru_cache

_OUNCES = 29.57  # millilitres
_INCH = 2.54  # centimetres
_UK_SHOES = {"38": "5", "39": "6", "40": "6.5", "41": "7.5", "42": "8", "43": "9", "44": "10"}
_LETTERS = {"S": "small", "M": "medium", "L": "large", "XL": "extra large"}


@lru_cache(maxsize=512)
def sizes(size: str, imperial: bool) -> tuple[str, ...]:
    """How a size may be written, the most usual first: in these or those units, with or without a space.

    Examples:
        >>> sizes("300 ml", imperial=True)
        ('10 oz', '10oz', '10 fl oz', '300 ml')
    """
    number, _, unit = size.partition(" ")
    match unit:
        case "ml":
            forms = _volume(float(number), imperial)
        case "L" if float(number) < 5:
            forms = _volume(1000 * float(number), imperial)
        case "L":
            forms = (size, f"{number}L", f"{number} litre", f"{number} ltr")
        case "cm" | "cm seat":
            forms = _length(float(number), unit.removeprefix("cm"), imperial)
        case "mm":
            forms = (size, number + unit, f"{float(number) / 10:g} cm")
        case "MP":
            forms = (size, number + unit, f"{number}mp", f"{number} megapixel")
        case "h battery":
            forms = (size, f"{number}h battery", f"{number} hours", f"{number}hr battery")
        case _ if number == "EU":
            british = (f"UK {_UK_SHOES[unit]}", f"UK{_UK_SHOES[unit]}", f"size UK {_UK_SHOES[unit]}")
            forms = (*british, size) if imperial else (size, f"EU{unit}", f"size {unit}", f"{unit} EU")
        case _ if size in _LETTERS:
            forms = (size, f"size {size}", f"({size})", _LETTERS[size])
        case _ if "-seater" in size:
            forms = (size, size.replace("-", " "), {"2": "two", "3": "three"}[size[0]] + size[1:])
        case _:
            forms = (size,)
    return forms


@lru_cache(maxsize=4096)
def models(model: str) -> tuple[str, ...]:
    """How a model number may be written, the most usual first.

    Examples:
        >>> models("BR-1234")
        ('BR-1234', 'BR1234', 'BR 1234', 'br-1234', 'br 1234', 'Br1234')
    """
    letters, number = model.split("-")
    small = letters.lower()
    return (
        model,
        letters + number,
        f"{letters} {number}",
        f"{small}-{number.lower()}",
        f"{small} {number.lower()}",
        f"{letters.capitalize()}{number}",
    )


def _volume(millilitres: float, imperial: bool) -> tuple[str, ...]:
    litres, plain = f"{millilitres / 1000:g}", f"{millilitres:g}"
    usual = (f"{litres} L", f"{litres}L") if millilitres >= 1000 else (f"{plain} ml", f"{plain}ml")
    if imperial:
        ounces = round(millilitres / _OUNCES)
        return f"{ounces} oz", f"{ounces}oz", f"{ounces} fl oz", usual[0]
    return *usual, f"{millilitres / 10:g} cl", f"{litres} litre"


def _length(centimetres: float, rest: str, imperial: bool) -> tuple[str, ...]:
    plain = f"{centimetres:g}"
    if imperial:
        inches = round(centimetres / _INCH)
        return f"{inches} inch{rest}", f'{inches}"{rest}', f"{inches}in{rest}", f"{plain} cm{rest}"
    return f"{plain} cm{rest}", f"{plain}cm{rest}", f"{10 * centimetres:g} mm{rest}"
