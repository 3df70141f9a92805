"""A folder is read, its folders are said, each is read again: with links among them the number grows without end."""

from farandole import Choreography, Command, Event, Service, allow_cycle


class ReadTree(Command):
    path: str


class FolderFound(Event, key="path"):
    path: str


def choreography(*, planted: bool) -> Choreography:
    reader = Service("reader")

    @reader.command
    async def begin(command: ReadTree) -> FolderFound: ...

    if planted:

        @reader.on(FolderFound)  # planted: fan-out
        async def look(folder: FolderFound) -> list[FolderFound]: ...

    else:

        @reader.on(FolderFound)
        async def look(folder: FolderFound) -> FolderFound | None: ...

    meant = allow_cycle(FolderFound, at_most=20, reason="folders are not nested deeper")
    return Choreography("files", reader, cycles=[meant])
