"""Container images of the services: built, published, measured."""

from .base_image import DOCKERFILE, RegistryError, files_to_copy, renew_base
from .bill import LICENCES, BillError, licences
from .builders import PYTHON, ImageError, Images, architecture, build, choose_builder, run_options
from .measure import facts_of, report
from .options import add_image_options, images_of

__all__ = [
    "BillError",
    "DOCKERFILE",
    "ImageError",
    "Images",
    "LICENCES",
    "PYTHON",
    "RegistryError",
    "add_image_options",
    "architecture",
    "build",
    "choose_builder",
    "facts_of",
    "files_to_copy",
    "images_of",
    "licences",
    "renew_base",
    "report",
    "run_options",
]
