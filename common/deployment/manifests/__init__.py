"""Manifests, checked more strictly than ioFog checks them."""

from .check import check_documents
from .problems import Finding
from .schema import judge
from .templates import check_literal, texts

__all__ = ["Finding", "check_documents", "check_literal", "judge", "texts"]
