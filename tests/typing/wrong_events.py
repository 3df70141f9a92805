"""Wrong declarations and uses of events. Both type checkers must object to each line marked `# wrong`, and to no other."""

from __future__ import annotations

import farandole
from farandole import Event


class OrderPlaced(Event, version="1.0"):
    order_id: str
    total: int = 0


event = OrderPlaced(order_id="1")
event.total = 5  # wrong: events are frozen
OrderPlaced("1")  # wrong: fields are given by keyword
OrderPlaced(order_id=1)  # wrong: the type
OrderPlaced()  # wrong: an argument is missing
OrderPlaced(order_id="1", totl=5)  # wrong: no such field
text: str = event.total  # wrong: an int
event.customer  # wrong: no such field # noqa: B018
farandole.Evnt  # wrong: no such public name # noqa: B018


class NumberedByInt(Event, version=1):  # wrong: a version is a string
    pass


class Misspelt(Event, verson="1.0"):  # wrong: no such keyword
    pass


class KeyedByNumber(Event, key=1):  # wrong: a key is the name of a field
    pass
