"""Container images of the services: built, published, measured."""

from .builders import PYTHON, ImageError, Images, architecture, build, choose_builder, run_options
from .measure import facts_of, report
from .options import add_image_options, images_of

__all__ = [
    "ImageError",
    "Images",
    "PYTHON",
    "add_image_options",
    "architecture",
    "build",
    "choose_builder",
    "facts_of",
    "images_of",
    "report",
    "run_options",
]
