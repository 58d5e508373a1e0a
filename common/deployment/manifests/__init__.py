"""Manifests, checked more strictly than ioFog checks them."""

from .check import Finding, check_documents, check_file

__all__ = ["Finding", "check_documents", "check_file"]
