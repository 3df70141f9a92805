"""The classic of cloud functions: what shrinks each stored image stores an image, and so calls itself until the money is gone."""

from farandole import Choreography, Command, Event, Service


class UploadImage(Command):
    image_id: str


class ImageStored(Event, key="image_id"):
    image_id: str


class ThumbnailStored(Event, key="image_id"):
    image_id: str


def choreography(*, planted: bool) -> Choreography:
    images, gallery = Service("images"), Service("gallery")

    @images.command
    async def upload(command: UploadImage) -> ImageStored: ...

    if planted:

        @images.on(ImageStored)  # planted: cycle
        async def shrink(image: ImageStored) -> tuple[ImageStored, ThumbnailStored]: ...

    else:

        @images.on(ImageStored)
        async def shrink(image: ImageStored) -> ThumbnailStored: ...

    @gallery.on(ThumbnailStored)
    async def show(thumbnail: ThumbnailStored) -> None: ...

    return Choreography("pictures", images, gallery)
